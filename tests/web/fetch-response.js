// Response and the Body mixin. https://fetch.spec.whatwg.org/#response-class
import { run, test, promise_test, assert_equals, assert_true, assert_throws_js } from "./harness.js";

test(() => {
  const response = new Response("é", { status: 201, statusText: "Made", headers: { "X-A": "1" } });
  assert_equals(response.status, 201);
  assert_equals(response.statusText, "Made");
  assert_equals(response.headers.get("x-a"), "1");
  assert_equals(response.headers.get("content-type"), "text/plain;charset=UTF-8");
  assert_true(response.ok);
}, "a response says what it was made of");

test(() => {
  assert_throws_js(RangeError, () => new Response("", { status: 199 }));
  assert_throws_js(RangeError, () => new Response("", { status: 600 }));
  assert_throws_js(TypeError, () => new Response("a", { status: 204 }));
  assert_throws_js(TypeError, () => new Response("", { statusText: "a\nb" }));
  assert_throws_js(RangeError, () => Response.redirect("http://a/", 200));
}, "what makes no response is refused");

test(() => {
  assert_equals(Response.json({}).headers.get("content-type"), "application/json");
  assert_equals(Response.json({}, { headers: { "content-type": "a/b" } }).headers.get("content-type"), "a/b");
  assert_equals(Response.redirect("http://a/b", 301).headers.get("location"), "http://a/b");
  assert_throws_js(TypeError, () => Response.redirect("http://a/b").headers.set("a", "b"));
  assert_equals(Response.error().type, "error");
}, "the static methods set type and location");

promise_test(async () => {
  const response = new Response(new Uint8Array([1, 2]));
  const copy = response.clone();
  response.headers.set("a", "b");
  assert_equals(copy.headers.get("a"), null);
  (await response.bytes())[0] = 9;
  assert_equals((await copy.bytes())[0], 1);
}, "a clone shares neither headers nor bytes");

promise_test(async () => {
  const response = new Response("{\"a\":1}");
  assert_equals((await response.json()).a, 1);
  assert_true(response.bodyUsed);
  let name;
  await response.text().catch((error) => {
    name = error.name;
  });
  assert_equals(name, "TypeError");
  assert_throws_js(TypeError, () => response.clone());
}, "a body is read once");

promise_test(async () => {
  assert_equals((await new Response("\uFEFFabc").text()).length, 3);
  assert_equals(await new Response("\uFEFF[1]").json().then((list) => list[0]), 1);
  assert_equals(await new Response(new Uint8Array([0xef, 0xbb, 0xbf, 0x61])).text(), "a");
}, "a byte order mark is no part of the text");

export default run;
