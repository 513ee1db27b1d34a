// Request. https://fetch.spec.whatwg.org/#request-class
import {
  run, test, promise_test, assert_equals, assert_true, assert_false, assert_throws_js, assert_throws_exactly,
  assert_interface,
} from "./harness.js";

test(() => {
  const attributes = [
    "method", "url", "headers", "destination", "referrer", "referrerPolicy", "mode", "credentials", "cache", "redirect",
    "integrity", "keepalive", "isReloadNavigation", "isHistoryNavigation", "signal", "duplex", "clone", "body", "bodyUsed",
  ];
  assert_interface("Request", attributes, { length: 1 });
  for (const name of ["priority", "window", "blocking"]) assert_false(name in Request.prototype);
}, "Request is an interface");

test(() => {
  const request = new Request("http://A:80/b/../c?d#e");
  const names = [
    "method", "url", "referrer", "referrerPolicy", "mode", "credentials", "cache", "redirect", "integrity", "keepalive",
    "duplex", "destination",
  ];
  const all = names.map((name) => request[name]).join(" ");
  assert_equals(all, "GET http://a/c?d#e about:client  cors same-origin default follow  false half ");
  assert_false(request.isReloadNavigation || request.isHistoryNavigation);
  assert_equals(request.headers, request.headers);
  assert_equals(request.body, null);
  const made = new Request(request, {
    referrer: "http://r/x", referrerPolicy: "origin", mode: "same-origin", credentials: "omit", cache: "only-if-cached",
    redirect: "manual", integrity: "sha", keepalive: 1, priority: "low", duplex: "half", window: null, method: "pAtCh",
  });
  const copy = made.clone();
  for (const one of [made, copy, new Request(made)]) {
    const { referrer, referrerPolicy, mode, credentials, cache, redirect, integrity, keepalive, method } = one;
    const all = [referrer, referrerPolicy, mode, credentials, cache, redirect, integrity, keepalive, method];
    assert_equals(all.join(" "), "http://r/x origin same-origin omit only-if-cached manual sha true pAtCh");
  }
  assert_equals(new Request(made, { referrer: "" }).referrer, "");
  assert_equals(new Request(made, { method: "put" }).referrer, "about:client");
  assert_equals(new Request(made, {}).referrer, "http://r/x");
}, "attributes have their defaults, or what was given");

test(() => {
  for (const method of ["delete", "get", "head", "options", "post", "put"]) {
    assert_equals(new Request("http://a/", { method }).method, method.toUpperCase());
  }
  assert_equals(new Request("http://a/", { method: "patch" }).method, "patch");
  for (const method of ["", "a b", "\u0100", "connect", "TRACE", "Track"]) {
    assert_throws_js(TypeError, () => new Request("http://a/", { method }), method);
  }
}, "methods are normalised, or refused");

test(() => {
  const seen = [];
  const names = [
    "body", "cache", "credentials", "duplex", "headers", "integrity", "keepalive", "method", "mode", "priority",
    "redirect", "referrer", "referrerPolicy", "signal", "window",
  ];
  const init = {};
  for (const name of [...names].reverse()) {
    Object.defineProperty(init, name, {
      get() {
        seen.push(name);
      },
    });
  }
  new Request("http://a/", init);
  assert_equals(seen.join(), names.join());
  const error = new Error();
  // Arguments are converted before anything is done with them.
  assert_throws_exactly(error, () => new Request("no url", { get window() { throw error; } }));
  const url = { toString() { throw error; } };
  assert_throws_exactly(error, () => new Request(url, { get body() { seen.push("never"); } }));
  assert_equals(seen.length, names.length);
}, "the initializer's members are read in the order of their names");

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

test(() => {
  const bad = [
    { window: "x" }, { mode: "navigate" }, { referrer: "no url" }, { cache: "only-if-cached" }, { priority: "x" },
    { duplex: "full" }, { mode: "no-cors", method: "PUT" }, { signal: 1 }, { headers: [["a"]] }, { body: "x" },
    { body: "x", method: "HEAD" }, { method: "POST", body: new ReadableStream() },
    { method: "POST", body: new ReadableStream(), duplex: "half", keepalive: true },
    { method: "POST", body: new ReadableStream(), duplex: "half", mode: "no-cors" },
  ];
  for (const init of bad) assert_throws_js(TypeError, () => new Request("http://a/", init), JSON.stringify(init));
  assert_throws_js(TypeError, () => new Request("http://a/", 1));
  assert_throws_js(TypeError, () => new Request());
  for (const url of ["http://u@a/", "http://:p@a/", "http://u:p@a/?x"]) {
    assert_throws_js(TypeError, () => new Request(url));
  }
  for (const url of ["http://a/@", "http://a?u@b", "mailto:a@b", "about:blank"]) new Request(url);
}, "options that do not go together are refused");

promise_test(async () => {
  const first = new Request("http://a/", { method: "POST", body: "x", headers: { a: "b" } });
  assert_throws_js(TypeError, () => new Request(first, { method: "GET" }));
  assert_throws_js(TypeError, () => new Request(first, { method: "CONNECT" }));
  assert_false(first.bodyUsed);
  const second = new Request(first, { body: "y", headers: {} });
  assert_false(first.bodyUsed);
  assert_equals([...second.headers].join(), "content-type,text/plain;charset=UTF-8");
  assert_equals(await second.text(), "y");
  assert_equals(await new Request(first, { body: null }).text(), "x");
  assert_throws_js(TypeError, () => new Request(first));
  assert_equals(await new Request(first, { body: "z" }).text(), "z");
}, "another body leaves the old one alone");

promise_test(async () => {
  const controller = new AbortController();
  const first = new Request("http://a/", { signal: controller.signal });
  const others = [first, first.clone(), new Request(first), new Request("http://a/", first)];
  const without = new Request(first, { signal: null });
  controller.abort("why");
  for (const request of others) assert_equals(request.signal.reason, "why");
  assert_false(without.signal.aborted);
}, "a request's signal follows the one that it was given");

export default run;
