async_test((t) => {
  setTimeout(() => {
    throw new TypeError("outside of steps");
  });
  t.step_timeout(() => t.done(), 20);
}, "goes on");
