test((t) => t.add_cleanup(() => { throw new Error("in the cleanup"); }), "its cleanup fails");
promise_test(async () => {}, "not run: the next");
