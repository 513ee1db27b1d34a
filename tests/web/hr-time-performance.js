// High Resolution Time, 7 The Performance interface.
import { test, promise_test, run, assert_equals, assert_true, assert_throws_js, delay } from "./harness.js";

test(() => {
  assert_true(performance instanceof Performance);
  assert_true(performance instanceof EventTarget);
  assert_throws_js(TypeError, () => new Performance());
  assert_throws_js(TypeError, () => Performance.prototype.now.call({}));
  assert_equals(JSON.stringify(performance), JSON.stringify({ timeOrigin: performance.timeOrigin }));
}, "performance is the Performance object");

test(() => {
  let last = performance.now();
  for (let i = 0; i < 1000; i++) {
    const now = performance.now();
    assert_true(now >= last, "never goes back");
    assert_equals(Math.round(now * 10) / 10, now, "in steps of 0.1 ms");
    last = now;
  }
}, "now() is monotonic and coarse");

promise_test(async () => {
  const start = performance.now();
  await delay(5);
  assert_true(performance.now() > start);
  assert_true(Math.abs(performance.timeOrigin + performance.now() - Date.now()) < 60_000);
}, "now() counts from timeOrigin");

export default run;
