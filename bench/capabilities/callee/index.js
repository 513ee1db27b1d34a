// The app that is called.
export default {
  fetch() {
    return new Response("abc");
  },
};
