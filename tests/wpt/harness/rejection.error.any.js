promise_test(async () => {
  Promise.reject(new TypeError("nobody hears it"));
  await new Promise((resolve) => setTimeout(resolve, 1));
}, "goes on");
