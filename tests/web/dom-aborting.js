// DOM, 3 Aborting ongoing activities.
import {
  test, promise_test, run, assert_equals, assert_true, assert_false, assert_array_equals, assert_interface,
  assert_throws_js, assert_throws_exactly,
} from "./harness.js";

test(() => {
  assert_interface("AbortController", ["signal", "abort"]);
  assert_interface("AbortSignal", ["aborted", "reason", "throwIfAborted", "onabort"], {
    parent: EventTarget.prototype,
  });
  assert_throws_js(TypeError, () => new AbortSignal());
}, "the interfaces are as Web IDL says");

test(() => {
  const controller = new AbortController();
  const { signal } = controller;
  assert_equals(controller.signal, signal);
  assert_true(signal instanceof AbortSignal);
  assert_false(signal.aborted);
  assert_equals(signal.reason, undefined);
  signal.throwIfAborted();
  const seen = [];
  signal.onabort = (e) => seen.push("on", e.type, e.isTrusted, e.target === signal);
  signal.addEventListener("abort", () => seen.push(signal.aborted));
  controller.abort();
  controller.abort("again");
  assert_array_equals(seen, ["on", "abort", true, true, true]);
  assert_true(signal.reason instanceof DOMException);
  assert_equals(signal.reason.name, "AbortError");
  assert_throws_exactly(signal.reason, () => signal.throwIfAborted());
}, "abort() fires one event and keeps the first reason");

test(() => {
  const controller = new AbortController();
  controller.abort("why");
  assert_equals(controller.signal.reason, "why");
  assert_equals(AbortSignal.abort(0).reason, 0);
  assert_equals(AbortSignal.abort().reason.name, "AbortError");
  assert_equals(AbortSignal.abort(null).reason, null);
}, "the reason may be anything");

test(() => {
  const controller = new AbortController();
  let calls = 0;
  const handler = () => calls++;
  controller.signal.onabort = handler;
  assert_equals(controller.signal.onabort, handler);
  controller.signal.onabort = null;
  assert_equals(controller.signal.onabort, null);
  controller.signal.onabort = 5;
  assert_equals(controller.signal.onabort, null);
  controller.abort();
  assert_equals(calls, 0);
}, "onabort can be taken back");

promise_test(async () => {
  const signal = AbortSignal.timeout(5);
  assert_false(signal.aborted);
  await new Promise((resolve) => (signal.onabort = resolve));
  assert_true(signal.aborted);
  assert_equals(signal.reason.name, "TimeoutError");
}, "AbortSignal.timeout() aborts with a TimeoutError");

test(() => {
  assert_throws_js(TypeError, () => AbortSignal.timeout());
  assert_throws_js(TypeError, () => AbortSignal.timeout(-1));
  assert_throws_js(TypeError, () => AbortSignal.timeout(Infinity));
  assert_throws_js(TypeError, () => AbortSignal.timeout("x"));
}, "AbortSignal.timeout() refuses what is no time");

test(() => {
  const a = new AbortController();
  const b = new AbortController();
  const any = AbortSignal.any([a.signal, b.signal]);
  const nested = AbortSignal.any([any]);
  const order = [];
  a.signal.addEventListener("abort", () => order.push("b source", any.aborted, nested.aborted));
  b.signal.addEventListener("abort", () => order.push("source", any.aborted, nested.aborted));
  any.addEventListener("abort", () => order.push("any"));
  nested.addEventListener("abort", () => order.push("nested"));
  b.abort("r");
  a.abort("s");
  assert_array_equals(order, ["source", true, true, "any", "nested", "b source", true, true]);
  assert_equals(any.reason, "r");
  assert_equals(nested.reason, "r");
}, "AbortSignal.any() aborts with the first of its sources, which all change before any event");

test(() => {
  assert_false(AbortSignal.any([]).aborted);
  assert_equals(AbortSignal.any(new Set([AbortSignal.abort(1), AbortSignal.abort(2)])).reason, 1);
  assert_throws_js(TypeError, () => AbortSignal.any());
  assert_throws_js(TypeError, () => AbortSignal.any([{}]));
  assert_throws_js(TypeError, () => AbortSignal.any(5));
}, "AbortSignal.any() of none, of aborted ones, of other things");

test(() => {
  const controller = new AbortController();
  let calls = 0;
  for (let i = 0; i < 100; i++) AbortSignal.any([controller.signal]).addEventListener("abort", () => calls++);
  controller.abort();
  assert_equals(calls, 100);
}, "many signals can depend on one");

promise_test(async () => {
  const signal = AbortSignal.timeout(1);
  for (let id = 1; id < 2000; id++) clearTimeout(id);
  const any = AbortSignal.any([signal, new AbortController().signal]);
  await new Promise((resolve) => any.addEventListener("abort", resolve));
  assert_equals(any.reason, signal.reason);
  assert_equals(any.reason.name, "TimeoutError");
}, "clearTimeout() does not reach AbortSignal.timeout()");

test(() => {
  assert_equals(AbortSignal.abort.length, 0);
  assert_equals(AbortSignal.timeout.length, 1);
  assert_equals(AbortSignal.any.length, 1);
  assert_equals(AbortController.prototype.abort.length, 0);
  for (const name of ["abort", "timeout", "any"]) assert_true(Object.getOwnPropertyDescriptor(AbortSignal, name).enumerable, name);
  const controller = new AbortController();
  controller.signal.onabort = () => { throw new Error("of an abort's listener: reported by the test"); };
  controller.abort();
  assert_true(controller.signal.aborted);
}, "static operations; a listener's exception does not keep abort() from returning");

export default run;
