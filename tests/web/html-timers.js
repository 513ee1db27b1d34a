// HTML, 8.6 Timers; Prioritized Task Scheduling.
import {
  test, promise_test, run, assert_equals, assert_true, assert_array_equals, assert_interface, assert_throws_js, delay,
  promise_rejects_js, promise_rejects_exactly, promise_rejects_dom,
} from "./harness.js";

promise_test(async () => {
  const seen = [];
  setTimeout((...args) => seen.push(...args), 0, 1, "two", null);
  setTimeout(function () {
    seen.push(this === globalThis, arguments.length);
  });
  const id = setInterval((x) => {
    if (seen.push(x) === 7) clearTimeout(id);
  }, 1, "i");
  assert_true(Number.isInteger(id) && id > 0);
  while (seen.length < 7) await delay(1);
  await delay(5);
  assert_array_equals(seen, [1, "two", null, true, 0, "i", "i"]);
}, "arguments are passed on, and either function clears either kind");

promise_test(async () => {
  const order = [];
  setTimeout(() => order.push("later"), 3);
  setTimeout(() => order.push("a"), 0);
  setTimeout(() => order.push("b"), -5);
  setTimeout(() => order.push("c"), NaN);
  setTimeout(() => order.push("d"), 2 ** 32);
  setTimeout(() => order.push("e"), { valueOf: () => 0 });
  setImmediate((x) => order.push(x), "immediate");
  order.push("now");
  await delay(10);
  assert_array_equals(order, ["now", "a", "b", "c", "d", "e", "immediate", "later"]);
}, "timers of the same time fire in the order in which they were started");

promise_test(async () => {
  const order = [];
  const done = new Promise((resolve) => setTimeout(() => {
    order.push(1);
    queueMicrotask(() => order.push("microtask"));
  }) && setTimeout(() => resolve(order.push(2))));
  await done;
  assert_array_equals(order, [1, "microtask", 2]);
}, "microtasks run between timers");

promise_test(async () => {
  let called = 0;
  const a = setTimeout(() => called++, 1);
  const b = setInterval(() => called++, 1);
  const c = setImmediate(() => called++);
  clearInterval(a);
  clearTimeout(b);
  clearImmediate(c);
  clearTimeout();
  clearTimeout(-1);
  clearTimeout(2 ** 31 + 1);
  clearTimeout("x");
  await delay(5);
  assert_equals(called, 0);
}, "cleared timers do not fire");

promise_test(async () => {
  const times = [];
  await new Promise((resolve) => {
    const again = () => {
      times.push(performance.now());
      if (times.length < 12) setTimeout(again, 0);
      else resolve();
    };
    setTimeout(again, 0);
  });
  const late = times[11] - times[6];
  assert_true(late >= 19, `five that are nested deeply in ${late} ms`);
}, "timers that are nested deeply wait 4 ms at least");

promise_test(async () => {
  let took = Infinity;
  // A busy machine may take its time; but not always.
  for (let attempt = 0; attempt < 20 && took >= 50; attempt++) {
    const start = performance.now();
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setTimeout(resolve));
    took = performance.now() - start;
  }
  assert_true(took < 50, `${took} ms`);
}, "awaited timers are not nested");

test(() => {
  for (const set of [setTimeout, setInterval]) {
    assert_throws_js(TypeError, () => set());
    assert_throws_js(TypeError, () => set("globalThis.evil = 1"));
    assert_throws_js(TypeError, () => set.call({}, () => {}));
    assert_equals(set.length, 1);
  }
  const error = new RangeError("of toString");
  try {
    setTimeout({ toString() { throw error; } });
    assert_true(false);
  } catch (caught) {
    assert_equals(caught, error);
  }
  assert_throws_js(TypeError, () => setImmediate());
  assert_throws_js(TypeError, () => setImmediate("x"));
  clearTimeout(setTimeout.call(undefined, () => {}));
  clearTimeout(setTimeout.call(globalThis, () => {}));
  assert_equals(clearTimeout.length, 0);
  for (const name of ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "setImmediate", "clearImmediate"]) {
    const { writable, enumerable, configurable, value } = Object.getOwnPropertyDescriptor(globalThis, name);
    assert_true(writable && enumerable && configurable && value.name === name, name);
  }
}, "code in strings is refused, and other receivers");

test(() => {
  assert_interface("Scheduler", ["postTask", "yield", "wait"]);
  assert_throws_js(TypeError, () => new Scheduler());
  assert_true(scheduler instanceof Scheduler);
  assert_equals(Scheduler.prototype.postTask.length, 1);
}, "scheduler is a Scheduler");

promise_test(async () => {
  const order = [];
  const add = (name, priority) => scheduler.postTask(() => order.push(name), priority && { priority });
  await Promise.all([
    add("background", "background"), add("visible"), add("visible too", "user-visible"), add("blocking", "user-blocking"),
  ]);
  assert_array_equals(order, ["blocking", "visible", "visible too", "background"]);
}, "tasks run by their priority");

promise_test(async () => {
  assert_equals(await scheduler.postTask(() => 5), 5);
  assert_equals(await scheduler.postTask(async () => 6), 6);
  const start = performance.now();
  await scheduler.postTask(() => {}, { delay: 5 });
  await scheduler.wait(5);
  assert_true(performance.now() - start >= 9.8);
  const error = new Error("of a task");
  await promise_rejects_exactly(error, scheduler.postTask(() => { throw error; }));
  await promise_rejects_js(TypeError, scheduler.postTask());
  await promise_rejects_js(TypeError, scheduler.postTask({}));
  await promise_rejects_js(TypeError, scheduler.postTask(() => {}, { priority: "high" }));
  await promise_rejects_js(TypeError, scheduler.postTask(() => {}, { delay: -1 }));
  await promise_rejects_js(TypeError, scheduler.postTask(() => {}, { signal: {} }));
  await promise_rejects_js(TypeError, Scheduler.prototype.postTask.call({}, () => {}));
  await promise_rejects_js(TypeError, scheduler.wait());
}, "postTask() gives a promise for the callback's result");

promise_test(async () => {
  const controller = new AbortController();
  const reason = new Error("of the abort");
  let called = false;
  const task = scheduler.postTask(() => (called = true), { signal: controller.signal, delay: 1 });
  const wait = scheduler.wait(60_000, { signal: controller.signal });
  controller.abort(reason);
  await promise_rejects_exactly(reason, task);
  await promise_rejects_exactly(reason, wait);
  await promise_rejects_exactly(reason, scheduler.postTask(() => {}, { signal: controller.signal }));
  await promise_rejects_dom("AbortError", scheduler.wait(1, { signal: AbortSignal.abort() }));
  await delay(3);
  assert_equals(called, false);
}, "a signal takes a task back");

promise_test(async () => {
  const order = [];
  await scheduler.postTask(async () => {
    scheduler.postTask(() => order.push("next"));
    order.push("first half");
    await scheduler.yield();
    order.push("second half");
  });
  await delay(2);
  assert_array_equals(order, ["first half", "second half", "next"]);
}, "yield() goes on before other tasks of the same priority");

export default run;
