test(() => assert_true(!!document.body), "out of reach: it needs a document");
test(() => null.body, "out of reach: it may need one");
