test(() => assert_true(true), "needs no document");
test(() => assert_true(!!document.body), "out of reach: needs one");
test(() => assert_true(false), "fails: an assertion");
