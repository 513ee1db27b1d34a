// Nothing here needs one: the words document and window are in comments only.
test(() => assert_false(GLOBAL.isWindow()), "such a file runs where it needs no page");
