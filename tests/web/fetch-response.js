// Response and the Body mixin. https://fetch.spec.whatwg.org/#response-class
import {
  run, test, promise_test, assert_equals, assert_true, assert_false, assert_throws_js, assert_throws_exactly,
  assert_interface,
} from "./harness.js";

test(() => {
  const members = ["type", "url", "redirected", "status", "ok", "statusText", "headers", "clone", "body", "bodyUsed"];
  assert_interface("Response", members);
  const lengths = { error: 0, redirect: 1, json: 1 };
  for (const name of Object.keys(lengths)) {
    assert_equals(Response[name].length, lengths[name]);
    assert_true(Object.getOwnPropertyDescriptor(Response, name).enumerable);
  }
  const { type, url, redirected, status, ok, statusText, body } = new Response();
  assert_equals([type, url, redirected, status, ok, statusText, body].join(), "default,,false,200,true,,");
}, "Response is an interface");

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

test(() => {
  const seen = [];
  const log = (name, value) => ({
    toString: () => (seen.push(name), value),
    valueOf: () => (seen.push(name), value),
  });
  const init = {
    get statusText() {
      return log("statusText", "x");
    },
    get status() {
      return log("status", 201);
    },
    get headers() {
      return { a: log("a", "b") };
    },
  };
  assert_equals(new Response(log("body", "text"), init).status, 201);
  assert_equals(seen.join(), "body,a,status,statusText");
  seen.length = 0;
  Response.json({ toJSON: () => (seen.push("data"), 1) }, init);
  assert_equals(seen.join(), "a,status,statusText,data");
  // Nothing is checked before all is converted, and the body comes first then.
  const stream = new ReadableStream();
  stream.getReader();
  assert_throws_js(TypeError, () => new Response(stream, { status: 99 }));
  assert_throws_js(RangeError, () => new Response("", { status: 99, headers: { "a b": "c" } }));
  assert_throws_js(TypeError, () => new Response("", { status: 99, headers: { "\u0100": "c" } }));
  assert_throws_js(TypeError, () => Response.json(undefined, { status: 99 }));
}, "the arguments are converted, then the body is made, then they are checked");

test(() => {
  for (const status of [204, 205, 304]) {
    assert_equals(new Response(null, { status }).body, null);
    for (const body of ["", "x", new Uint8Array(0), new ReadableStream()]) {
      assert_throws_js(TypeError, () => new Response(body, { status }));
    }
    assert_throws_js(TypeError, () => Response.json(1, { status }));
  }
  for (const status of [0, 100, 101, 103, 199, 600, 65536 + 99, "x"]) {
    assert_throws_js(RangeError, () => new Response(null, { status }));
  }
  assert_equals(new Response(null, { status: 65536 + 200 }).status, 200);
  for (const statusText of ["\n", "\u0100", "\x7f", "\0"]) {
    assert_throws_js(TypeError, () => new Response(null, { statusText }));
  }
  assert_equals(new Response(null, { statusText: "\x80\t x" }).statusText, "\x80\t x");
  assert_throws_js(TypeError, () => new Response(null, 1));
}, "statuses and status texts that cannot be are refused, as are bodies that cannot be sent");

promise_test(async () => {
  const { type, status, headers } = Response.error();
  assert_equals(`${type} ${status}`, "error 0");
  assert_throws_js(TypeError, () => headers.append("a", "b"));
  for (const status of [200, 300, 304, 309]) assert_throws_js(RangeError, () => Response.redirect("http://a/", status));
  for (const status of [301, 302, 303, 307, 308]) assert_equals(Response.redirect("http://a/", status).status, status);
  assert_throws_js(TypeError, () => Response.redirect("http://:x y"));
  assert_equals(Response.redirect("http://a/\u00e9 b").headers.get("location"), "http://a/%C3%A9%20b");
  assert_equals(Response.redirect("http://a/").type, "default");
  for (const value of [undefined, Symbol(), () => {}]) assert_throws_js(TypeError, () => Response.json(value));
  const error = new Error();
  assert_throws_exactly(error, () => Response.json({ toJSON() { throw error; } }));
  assert_equals(await Response.json("\udf06\ud834").text(), '"\\udf06\\ud834"');
  const json = Response.json({ a: 1 }, { status: 201, headers: { "x-a": "b" } });
  assert_equals(`${json.status} ${[...json.headers]}`, "201 content-type,application/json,x-a,b");
  assert_equals((await json.json()).a, 1);
  assert_false(Response.json(1, { headers: { "Content-Type": "x/y" } }).headers.get("content-type") !== "x/y");
}, "the static methods make what the standard says");

promise_test(async () => {
  assert_equals(await new Response("a\ud800").text(), "a\ufffd");
  assert_equals(await new Response('"\udc00"', { status: 201 }).json(), "\ufffd");
  assert_equals(await new Response("\udc00").clone().text(), "\ufffd");
}, "surrogates that stand alone are replaced in a body's text");

export default run;
