test(() => 1, "a test that gives something");
