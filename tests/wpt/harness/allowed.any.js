setup({ allow_uncaught_exception: true });
async_test((t) => {
  addEventListener("error", t.step_func_done((event) => assert_equals(event.error.message, "on purpose")));
  setTimeout(() => {
    throw new Error("on purpose");
  });
}, "an uncaught exception may be allowed");
