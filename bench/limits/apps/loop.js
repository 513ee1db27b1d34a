// Loops, so that each request ends its guest.
export default {
  fetch() {
    for (;;);
  },
};
