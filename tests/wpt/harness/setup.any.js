let ready = false;
promise_setup(async () => {
  await new Promise((resolve) => setTimeout(resolve, 1));
  ready = true;
});
promise_test(async () => assert_true(ready), "promise_setup comes before promise tests");
