// META: global=serviceworker
test(() => {}, "not run");
