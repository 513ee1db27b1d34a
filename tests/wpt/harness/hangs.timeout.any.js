test(() => {}, "passes");
promise_test(() => new Promise(() => {}), "times out: it never settles");
promise_test(async () => {}, "not run: it comes after");
