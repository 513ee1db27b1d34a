// META: script=/common/own.js
// META: script=resources/beside.js
// META: script=resources/template.sub.js
// META: script=/common/gc.js
// META: script=/common/subset-tests.js
// META: timeout=long
// Scripts and resources of the checkout, and the globals that tests count on.

test(() => assert_equals(`${fromCommon} ${fromBeside}`, "common beside"), "META scripts share the file's scope");
test(() => assert_equals(filledIn, "web-platform.test 8000"), "the server's name is filled in");
test(() => {
  undeclared = 1;
  assert_equals(self.undeclared, 1);
}, "a file is a sloppy script");
test(() => assert_equals(eval("1 + 1") + new Function("return 1")(), 3), "code from strings runs");
promise_test(async () => {
  assert_equals((await fetch_json("resources/data.json")).text, "ä");
  const response = await fetch("/harness/resources/data.json?x");
  assert_equals(response.status, 200);
  assert_equals(response.headers.get("content-type"), "application/json");
}, "fetch reads files");
promise_test(async () => assert_true((await fetch("gone.txt")).ok), "out of reach: a file that is not there");
promise_test(async () => assert_true((await fetch("x.py")).ok), "out of reach: a file that the server would run");
promise_test((t) => promise_rejects_js(t, TypeError, fetch("http://")), "fetch rejects what is no URL");
promise_test(async (t) => {
  const controller = new AbortController();
  const { signal } = controller;
  const promise = fetch("resources/data.json", { signal });
  controller.abort();
  await promise_rejects_dom(t, "AbortError", promise);
  await promise_rejects_dom(t, "AbortError", fetch("resources/data.json", { signal }));
}, "fetch can be aborted");
test(() => void new Worker("x.js"), "out of reach: a worker");
promise_test(async () => assert_equals((await import("./resources/module.js")).default, "a module"), "import()");
promise_test(async () => {
  const weak = new WeakRef({});
  await garbageCollect();
  assert_equals(weak.deref(), undefined);
}, "garbage is collected");
test(() => {
  const buffer = new ArrayBuffer(8);
  $262.detachArrayBuffer(buffer);
  assert_true(buffer.detached);
  assert_equals($262.evalScript("typeof buffer", "x.js"), "undefined");
}, "$262");
test(() => {
  assert_equals(location.pathname, "/harness/files.any.worker.js");
  assert_equals(location.search, "");
  assert_equals(String(location), location.href);
  assert_false(GLOBAL.isWindow());
  assert_true(self.GLOBAL.isWorker());
}, "location and GLOBAL");
for (const name of ["readText", "readBytes", "report"]) {
  test(() => assert_false(name in $262), `${name} is the harness's`);
}
