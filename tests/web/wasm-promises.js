// JavaScript Promise Integration: calls that wait for promises of their imports.
import {
  test, promise_test, run, delay, assert_equals, assert_true, assert_throws_js, promise_rejects_exactly,
} from "./harness.js";

// (module (import "m" "i" (func (result i32))) (func (export "f") (result i32) call 0))
const module = new WebAssembly.Module(new Uint8Array([
  0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 5, 1, 0x60, 0, 1, 0x7f, 2, 7, 1, 1, 0x6d, 1, 0x69, 0, 0, 3, 2, 1, 0, 7, 5, 1, 1, 0x66, 0, 1, 10,
  6, 1, 4, 0, 0x10, 0, 0x0b,
]));
const exported = (i) => new WebAssembly.Instance(module, { m: { i } }).exports.f;
const promising = (i) => WebAssembly.promising(exported(new WebAssembly.Suspending(i)));

test(() => {
  const f = exported(() => 1);
  const made = WebAssembly.promising(f);
  assert_true(made instanceof Function && made !== f);
  assert_equals(made.length, f.length);
  assert_throws_js(TypeError, () => new made());
  for (const wrong of [undefined, null, 5, {}, () => 1]) assert_throws_js(TypeError, () => WebAssembly.promising(wrong));
  for (const wrong of [undefined, null, 5, {}]) assert_throws_js(TypeError, () => new WebAssembly.Suspending(wrong));
}, "promising takes a function of WebAssembly");

promise_test(async () => {
  assert_equals(await WebAssembly.promising(exported(() => 1))(), 1);
  assert_equals(await promising(() => 2)(), 2);
  assert_equals(await promising(() => delay(5).then(() => 3))(), 3);
  const error = new Error("mine");
  await promise_rejects_exactly(error, promising(() => Promise.reject(error))());
  await promise_rejects_exactly(error, promising(() => { throw error; })());
  assert_throws_js(WebAssembly.SuspendError, exported(new WebAssembly.Suspending(() => delay(1))));
}, "a call waits for what its import promises");

promise_test(async () => {
  const call = promising(() => Promise.resolve(1));
  let sum = 0;
  for (let i = 0; i < 3000; i++) sum += await call();
  assert_equals(sum, 3000);
  const at_once = WebAssembly.promising(exported(() => 1));
  assert_equals((await Promise.all(Array.from({ length: 3000 }, at_once))).length, 3000, "none of which waits");
}, "one call after the other is no matter how many");

promise_test(async () => {
  let release;
  const released = new Promise((resolve) => (release = resolve));
  const call = promising(() => released);
  const calls = Array.from({ length: 500 }, call);
  release(7);
  assert_equals((await Promise.all(calls)).reduce((sum, n) => sum + n), 3500);
  assert_equals(await call(), 7);
}, "many calls wait at once");

export default run;
