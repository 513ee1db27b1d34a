// Request. https://fetch.spec.whatwg.org/#request-class
import { run, test, promise_test, assert_equals, assert_true, assert_throws_js } from "./harness.js";

test(() => {
  const request = new Request("http://a/b", { method: "post", body: "x", headers: { "X-A": "1" } });
  assert_equals(request.method, "POST");
  assert_equals(request.url, "http://a/b");
  assert_equals(request.headers.get("x-a"), "1");
  assert_equals(request.headers.get("content-type"), "text/plain;charset=UTF-8");
  assert_equals(request.redirect, "follow");
  assert_true(request.signal instanceof AbortSignal);
}, "a request says what it was made of");

test(() => {
  assert_throws_js(TypeError, () => new Request("http://u:p@a/"));
  assert_throws_js(TypeError, () => new Request("no url"));
  assert_throws_js(TypeError, () => new Request("http://a/", { body: "x" }));
  assert_throws_js(TypeError, () => new Request("http://a/", { mode: "zzz" }));
  assert_throws_js(TypeError, () => new Request("http://a/", { method: "TRACE" }));
  assert_throws_js(TypeError, () => new Request("http://a/", { redirect: "never" }));
}, "what makes no request is refused");

promise_test(async () => {
  const first = new Request("http://a/", { method: "PUT", body: "text" });
  assert_throws_js(TypeError, () => new Request(first, { signal: 1 }));
  assert_true(!first.bodyUsed);
  const second = new Request(first, { headers: { b: "c" } });
  assert_true(first.bodyUsed);
  assert_equals(second.method, "PUT");
  assert_equals(await second.text(), "text");
}, "a request made of another takes its body, unless it is refused");

promise_test(async () => {
  const request = new Request("http://a/", { method: "POST", body: "text", headers: { a: "b" } });
  const copy = request.clone();
  copy.headers.set("a", "c");
  assert_equals(request.headers.get("a"), "b");
  assert_equals(await request.text(), "text");
  assert_equals(await copy.text(), "text");
}, "a clone shares neither headers nor body");

export default run;
