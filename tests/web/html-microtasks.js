// HTML, 8.7 Microtask queuing; 8.1.4.6 reportError; self and navigator.
import {
  test, promise_test, run, assert_equals, assert_true, assert_array_equals, assert_throws_js,
} from "./harness.js";

promise_test(async () => {
  const order = [];
  queueMicrotask(() => order.push("a"));
  Promise.resolve().then(() => order.push("b"));
  queueMicrotask(() => order.push("c"));
  order.push("now");
  await new Promise((resolve) => setTimeout(resolve));
  assert_array_equals(order, ["now", "a", "b", "c"]);
}, "queueMicrotask() runs callbacks in order, after this");

promise_test(async () => {
  let called = false;
  queueMicrotask(() => {
    throw new Error("of a microtask: reported, not fatal");
  });
  queueMicrotask(() => (called = true));
  await new Promise((resolve) => setTimeout(resolve));
  assert_true(called);
}, "a microtask's exception is reported and the others run");

test(() => {
  assert_throws_js(TypeError, () => queueMicrotask());
  assert_throws_js(TypeError, () => queueMicrotask("x"));
  assert_throws_js(TypeError, () => reportError());
  assert_equals(reportError(new Error("reported by the test")), undefined);
  assert_equals(queueMicrotask.length, 1);
}, "arguments");

test(() => {
  assert_equals(self, globalThis);
  for (const wrong of [{}, 1, "x"]) assert_throws_js(TypeError, () => queueMicrotask.call(wrong, () => {}));
  for (const name of ["queueMicrotask", "reportError", "structuredClone", "atob", "btoa"]) {
    assert_equals(typeof globalThis[name], "function", name);
    const descriptor = Object.getOwnPropertyDescriptor(globalThis, name);
    assert_true(descriptor.writable && descriptor.enumerable && descriptor.configurable, name);
  }
}, "globals");

export default run;
