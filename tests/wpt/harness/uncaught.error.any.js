test(() => {}, "before");
throw new TypeError("outside of tests");
