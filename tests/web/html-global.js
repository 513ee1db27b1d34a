// HTML, 8.1 the global object: what its names are, its events, exceptions and rejections that nobody handles.
import {
  test, promise_test, run, assert_equals, assert_true, assert_false, assert_array_equals, assert_interface, assert_throws_js, delay,
} from "./harness.js";

const INTERFACES = [
  "AbortController", "AbortSignal", "CustomEvent", "DOMException", "ErrorEvent", "Event", "EventTarget", "Headers",
  "MessageChannel", "MessageEvent", "MessagePort", "Navigator", "Performance", "PerformanceEntry", "PerformanceMark",
  "PerformanceMeasure", "PromiseRejectionEvent", "QuotaExceededError", "ReadableStream", "Request", "Response", "Scheduler",
  "TextDecoder", "TextEncoder", "URL", "URLSearchParams",
];

test(() => {
  for (const name of INTERFACES) {
    const descriptor = Object.getOwnPropertyDescriptor(globalThis, name);
    assert_true(descriptor !== undefined, name);
    assert_equals(typeof descriptor.value, "function", name);
    assert_equals(descriptor.value, globalThis[name], name);
    assert_equals(descriptor.value.name, name);
    assert_true(descriptor.writable && !descriptor.enumerable && descriptor.configurable, name);
  }
  assert_false(Object.keys(globalThis).includes("Event"));
  assert_true(Object.keys(globalThis).includes("structuredClone"));
}, "interfaces are data properties: writable, configurable, not enumerable");

test(() => {
  for (const name of ["self", "performance", "scheduler", "navigator", "onerror", "onunhandledrejection", "onrejectionhandled"]) {
    const { get, set, enumerable, configurable } = Object.getOwnPropertyDescriptor(globalThis, name);
    assert_equals(get.name, `get ${name}`);
    if (name !== "navigator") assert_equals(set.name, `set ${name}`);
    assert_true(enumerable && configurable, name);
    assert_throws_js(TypeError, () => get.call({}), name);
    assert_equals(get.call(undefined), globalThis[name], name);
  }
  assert_equals(self, globalThis);
  assert_true(/^Nexus\/\d+\.\d+\.\d+/.test(navigator.userAgent), navigator.userAgent);
  assert_throws_js(TypeError, () => new Navigator());
  const before = performance;
  globalThis.performance = 5;
  assert_equals(performance, 5);
  Object.defineProperty(globalThis, "performance", { value: before, writable: true, enumerable: true, configurable: true });
}, "attributes are accessors of the global object; most can be replaced");

test(() => {
  const original = globalThis.CountQueuingStrategy;
  assert_true(original !== undefined);
  globalThis.CompressionStream = 7;
  assert_equals(CompressionStream, 7, "assigned before it was used");
  assert_true(delete globalThis.DecompressionStream);
  assert_equals(typeof DecompressionStream, "undefined", "deleted before it was used");
  Object.defineProperty(globalThis, "URLPattern", { get: () => 8, configurable: true });
  assert_equals(URLPattern, 8, "redefined before it was used");
}, "a name that was never used can be replaced and deleted");

test(() => {
  const read = () => {
    let last;
    for (let i = 0; i < 10_000; i++) last = ByteLengthQueuingStrategy;
    return last;
  };
  let best = Infinity;
  for (let attempt = 0; attempt < 30 && best >= 3; attempt++) {
    const start = performance.now();
    assert_equals(read(), ByteLengthQueuingStrategy);
    best = Math.min(best, performance.now() - start);
  }
  // Its getter would take four times as long at least.
  assert_true(best < 3, `${best} ms`);
}, "a name that has been used costs no more than any other");

test(() => {
  assert_true(globalThis instanceof EventTarget);
  assert_equals(addEventListener, EventTarget.prototype.addEventListener);
  assert_false(Object.hasOwn(globalThis, "addEventListener"));
  const seen = [];
  const listener = function (e) {
    seen.push(this === globalThis, e.target === globalThis, e.currentTarget === self, e.composedPath()[0] === globalThis);
  };
  addEventListener("mine", listener);
  (0, globalThis.dispatchEvent)(new Event("mine"));
  globalThis.dispatchEvent(new Event("mine"));
  EventTarget.prototype.removeEventListener.call(null, "mine", listener);
  dispatchEvent(new Event("mine"));
  assert_array_equals(seen, Array(8).fill(true));
  assert_throws_js(TypeError, () => addEventListener.call({}, "x", null));
}, "the global object is an EventTarget, also for functions called without an object");

test(() => {
  const error = new Error("told to the listener, not to the log");
  let seen;
  const listener = (e) => {
    seen = e;
    e.preventDefault();
  };
  addEventListener("error", listener);
  try {
    assert_equals(reportError(error), undefined);
    assert_true(seen instanceof ErrorEvent && seen.isTrusted && seen.cancelable);
    assert_equals(seen.error, error);
    assert_true(seen.message.includes("told to the listener"), seen.message);
    assert_true(seen.filename.endsWith("html-global.js"), seen.filename);
    assert_true(seen.lineno > 1 && seen.colno > 1);
    for (const value of [1, null, undefined, "text"]) {
      reportError(value);
      assert_equals(seen.error, value);
      assert_true(seen.message !== "" && seen.filename.endsWith("html-global.js") && seen.lineno > 1, String(value));
    }
    reportError({ get name() { throw "read"; }, get message() { throw "read"; }, toString() { throw "called"; } });
    new EventTarget().dispatchEvent(new Event("x"));
    const target = new EventTarget();
    target.addEventListener("x", () => { throw "of a listener"; });
    target.dispatchEvent(new Event("x"));
    assert_equals(seen.error, "of a listener");
  } finally {
    removeEventListener("error", listener);
  }
  assert_throws_js(TypeError, () => reportError());
}, "reportError() and a listener's exception fire an error event");

promise_test(async () => {
  const seen = [];
  onerror = function (...args) {
    seen.push(this === globalThis, args.length, args[4]);
    return true;
  };
  try {
    const error = new Error("of a timer: told to onerror");
    setTimeout(() => { throw error; });
    queueMicrotask(() => { throw "of a microtask: told to onerror"; });
    await delay(3);
    assert_array_equals(seen, [true, 5, "of a microtask: told to onerror", true, 5, error]);
    const event = new ErrorEvent("error", { message: "m", cancelable: true });
    assert_false(dispatchEvent(event), "true cancels");
    assert_equals(seen.length, 9);
    onerror = (...args) => {
      seen.push(args.length);
      return false;
    };
    assert_false(dispatchEvent(new Event("error", { cancelable: true })), "of another event, false cancels");
    assert_equals(seen.at(-1), 1);
    assert_true(dispatchEvent(new ErrorEvent("error", { cancelable: true })));
  } finally {
    onerror = null;
  }
  assert_equals(onerror, null);
  onerror = 5;
  assert_equals(onerror, null);
}, "onerror has five arguments, and true cancels");

test(() => {
  let calls = 0;
  const listener = () => {
    calls++;
    throw new Error("of an error's listener: reported by the test, without another event");
  };
  addEventListener("error", listener);
  reportError(new Error("reported by the test"));
  removeEventListener("error", listener);
  assert_equals(calls, 1);
}, "an error within an error's listener fires no other");

promise_test(async () => {
  const seen = [];
  const listener = (e) => {
    seen.push(e);
    e.preventDefault();
  };
  addEventListener("unhandledrejection", listener);
  onrejectionhandled = (e) => seen.push(e);
  try {
    const error = new Error("of a promise: told to the listener");
    const promise = Promise.reject(error);
    const heard = Promise.reject(new Error("handled in time"));
    queueMicrotask(() => heard.catch(() => {}));
    await delay(2);
    assert_equals(seen.length, 1);
    assert_true(seen[0] instanceof PromiseRejectionEvent && seen[0].isTrusted && seen[0].cancelable);
    assert_equals(seen[0].promise, promise);
    assert_equals(seen[0].reason, error);
    promise.catch(() => {});
    assert_equals(seen.length, 1, "not at once");
    await delay(2);
    assert_equals(seen.length, 2);
    assert_equals(seen[1].type, "rejectionhandled");
    assert_equals(seen[1].promise, promise);
    assert_equals(seen[1].reason, error);
    assert_false(seen[1].cancelable);
    promise.catch(() => {});
    await delay(2);
    assert_equals(seen.length, 2, "once");
  } finally {
    removeEventListener("unhandledrejection", listener);
    onrejectionhandled = null;
  }
}, "unhandledrejection and rejectionhandled");

promise_test(async () => {
  const seen = [];
  onunhandledrejection = (e) => {
    seen.push(e.type);
    e.promise.catch(() => {});
    return false;
  };
  onrejectionhandled = (e) => seen.push(e.type);
  try {
    Promise.reject(new Error("handled by the listener"));
    await delay(3);
    assert_array_equals(seen, ["unhandledrejection"]);
  } finally {
    onunhandledrejection = onrejectionhandled = null;
  }
}, "a promise that its unhandledrejection handles needs no rejectionhandled");

test(() => {
  assert_interface("PromiseRejectionEvent", ["promise", "reason"], { length: 2, parent: Event.prototype });
  const promise = new Promise(() => {});
  const event = new PromiseRejectionEvent("x", { promise, reason: 5, cancelable: true });
  assert_array_equals([event.promise, event.reason, event.cancelable], [promise, 5, true]);
  assert_throws_js(TypeError, () => new PromiseRejectionEvent("x"));
  assert_throws_js(TypeError, () => new PromiseRejectionEvent("x", {}));
  assert_throws_js(TypeError, () => new PromiseRejectionEvent("x", { promise: 1 }));
}, "PromiseRejectionEvent");

export default run;
