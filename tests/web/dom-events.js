// DOM, 2.2 Event, 2.4 CustomEvent, 2.7 EventTarget; HTML, ErrorEvent.
import {
  test, run, assert_equals, assert_true, assert_false, assert_array_equals, assert_interface, assert_throws_js,
  assert_throws_dom,
} from "./harness.js";

test(() => {
  assert_interface("Event", ["type", "target", "composedPath", "preventDefault", "timeStamp"], { length: 1 });
  assert_interface("CustomEvent", ["detail", "initCustomEvent"], { length: 1, parent: Event.prototype });
  assert_interface("ErrorEvent", ["message", "filename", "lineno", "colno", "error"], { length: 1, parent: Event.prototype });
  assert_interface("EventTarget", ["addEventListener", "removeEventListener", "dispatchEvent"]);
}, "the interfaces are as Web IDL says");

test(() => {
  const e = new Event("x", { bubbles: true, cancelable: 1, composed: "" });
  assert_equals(e.type, "x");
  assert_true(e.bubbles);
  assert_true(e.cancelable);
  assert_false(e.composed);
  assert_false(e.isTrusted);
  assert_equals(e.eventPhase, Event.NONE);
  assert_equals(e.target, null);
  assert_equals(e.currentTarget, null);
  assert_array_equals(e.composedPath(), []);
  assert_equals(typeof e.timeStamp, "number");
  assert_throws_js(TypeError, () => new Event());
  assert_throws_js(TypeError, () => new Event("x", 1));
}, "an event's attributes come from its dictionary");

test(() => {
  const own = Object.getOwnPropertyDescriptor(new Event("x"), "isTrusted");
  assert_equals(typeof own.get, "function");
  assert_equals(own.get, Object.getOwnPropertyDescriptor(new Event("y"), "isTrusted").get);
  assert_false(own.configurable);
}, "isTrusted cannot be forged");

test(() => {
  const target = new EventTarget();
  const seen = [];
  const listener = (e) => {
    seen.push(e.type, e.target === target, e.currentTarget === target, e.eventPhase, e.composedPath()[0] === target);
  };
  target.addEventListener("a", listener);
  target.addEventListener("a", listener);
  const event = new Event("a");
  assert_true(target.dispatchEvent(event));
  assert_array_equals(seen, ["a", true, true, Event.AT_TARGET, true]);
  assert_equals(event.currentTarget, null);
  assert_equals(event.target, target);
  target.removeEventListener("a", listener);
  target.dispatchEvent(event);
  assert_equals(seen.length, 5);
}, "a listener is called once for a dispatch, until it is removed");

test(() => {
  const target = new EventTarget();
  let calls = 0;
  const listener = () => calls++;
  target.addEventListener("a", listener);
  target.addEventListener("a", listener, { capture: true });
  target.addEventListener("a", listener, true);
  target.dispatchEvent(new Event("a"));
  assert_equals(calls, 2);
  target.removeEventListener("a", listener, { capture: true });
  target.dispatchEvent(new Event("a"));
  assert_equals(calls, 3);
}, "capture is part of a listener's identity");

test(() => {
  const target = new EventTarget();
  let calls = 0;
  target.addEventListener("a", () => {
    calls++;
    if (calls < 3) target.dispatchEvent(new Event("a"));
  }, { once: true });
  target.dispatchEvent(new Event("a"));
  target.dispatchEvent(new Event("a"));
  assert_equals(calls, 1);
}, "once: the listener is gone before it is called");

test(() => {
  const target = new EventTarget();
  target.addEventListener("a", (e) => e.preventDefault(), { passive: true });
  assert_true(target.dispatchEvent(new Event("a", { cancelable: true })));
  target.addEventListener("a", (e) => (e.returnValue = false));
  assert_true(target.dispatchEvent(new Event("a")));
  const event = new Event("a", { cancelable: true });
  assert_false(target.dispatchEvent(event));
  assert_true(event.defaultPrevented);
}, "preventDefault works for cancelable events outside passive listeners");

test(() => {
  const target = new EventTarget();
  const seen = [];
  target.addEventListener("a", (e) => {
    seen.push(1);
    target.addEventListener("a", () => seen.push("late"));
    target.removeEventListener("a", removed);
    e.stopPropagation();
  });
  const removed = () => seen.push("removed");
  target.addEventListener("a", removed);
  target.addEventListener("a", (e) => {
    seen.push(2);
    e.stopImmediatePropagation();
  });
  target.addEventListener("a", () => seen.push("stopped"));
  target.dispatchEvent(new Event("a"));
  assert_array_equals(seen, [1, 2]);
}, "changes of the list while an event is dispatched");

test(() => {
  const target = new EventTarget();
  const object = {
    handleEvent(e) {
      this.seen = e.type;
    },
  };
  target.addEventListener("a", object);
  target.dispatchEvent(new Event("a"));
  assert_equals(object.seen, "a");
  target.addEventListener("b", null);
  target.removeEventListener("b", null);
  assert_throws_js(TypeError, () => target.addEventListener("b", 1));
  assert_throws_js(TypeError, () => target.addEventListener("b"));
}, "listeners may be objects or null");

test(() => {
  const target = new EventTarget();
  let called = false;
  target.addEventListener("a", () => {
    throw new Error("of a listener: reported, not thrown");
  });
  target.addEventListener("a", {});
  target.addEventListener("a", () => (called = true));
  assert_true(target.dispatchEvent(new Event("a")));
  assert_true(called);
}, "an exception in a listener does not keep the others from being called");

test(() => {
  const target = new EventTarget();
  const controller = new AbortController();
  let calls = 0;
  target.addEventListener("a", () => calls++, { signal: controller.signal });
  target.dispatchEvent(new Event("a"));
  controller.abort();
  target.dispatchEvent(new Event("a"));
  assert_equals(calls, 1);
  target.addEventListener("a", () => calls++, { signal: controller.signal });
  target.dispatchEvent(new Event("a"));
  assert_equals(calls, 1);
  assert_throws_js(TypeError, () => target.addEventListener("a", () => {}, { signal: null }));
}, "signal: the abort removes the listener");

test(() => {
  const target = new EventTarget();
  target.addEventListener("a", (e) => {
    assert_throws_dom("InvalidStateError", () => target.dispatchEvent(e));
  });
  target.dispatchEvent(new Event("a"));
  assert_throws_js(TypeError, () => target.dispatchEvent({}));
  assert_throws_js(TypeError, () => target.dispatchEvent());
}, "an event cannot be dispatched while it is");

test(() => {
  const e = new Event("a");
  e.initEvent("b", true, true);
  assert_equals(e.type, "b");
  assert_true(e.bubbles && e.cancelable);
  const detail = {};
  assert_equals(new CustomEvent("a", { detail }).detail, detail);
  assert_equals(new CustomEvent("a").detail, null);
  const custom = new CustomEvent("a");
  custom.initCustomEvent("c", false, false, 5);
  assert_equals(custom.type + custom.detail, "c5");
}, "initEvent and initCustomEvent");

test(() => {
  const error = new Error();
  const e = new ErrorEvent("error", { message: "m", filename: "f", lineno: 2 ** 32 + 1, colno: -1, error });
  assert_array_equals([e.message, e.filename, e.lineno, e.colno, e.error], ["m", "f", 1, 4294967295, error]);
  assert_equals(new ErrorEvent("error").error, undefined);
}, "ErrorEvent");

test(() => {
  class Mine extends EventTarget {
    x = 1;
  }
  const target = new Mine();
  let seen;
  target.addEventListener("a", function () {
    seen = this.x;
  });
  target.dispatchEvent(new Event("a"));
  assert_equals(seen, 1);
}, "EventTarget can be derived from");

test(() => {
  const target = new EventTarget();
  const order = [];
  target.addEventListener("a", () => order.push("bubble"));
  target.addEventListener("a", () => order.push("capture"), true);
  target.dispatchEvent(new Event("a"));
  target.addEventListener("a", (e) => e.stopPropagation(), { capture: true, once: true });
  target.dispatchEvent(new Event("a"));
  assert_array_equals(order, ["capture", "bubble", "capture"]);
  const stopped = new Event("a");
  stopped.stopPropagation();
  assert_true(target.dispatchEvent(stopped));
  assert_equals(order.length, 3, "stopped before it was dispatched");
  assert_false(stopped.cancelBubble);
  target.dispatchEvent(stopped);
  assert_equals(order.length, 5);
}, "listeners that capture come first, and the propagation may stop between");

test(() => {
  const event = new Event("a", { cancelable: true, composed: true });
  event.preventDefault();
  event.stopImmediatePropagation();
  event.initEvent("b", false, false);
  assert_false(event.defaultPrevented || event.cancelBubble || event.cancelable);
  assert_true(event.composed);
  let late = 0;
  const target = new EventTarget();
  target.addEventListener("b", (e) => {
    e.initEvent("c", true, true);
    late = e.type;
  });
  target.dispatchEvent(event);
  assert_equals(late, "b", "not while it is dispatched");
  event.returnValue = false;
  assert_true(event.returnValue, "not cancelable");
  event.cancelBubble = true;
  event.cancelBubble = false;
  assert_true(event.cancelBubble);
}, "the flags of an event");

test(() => {
  const order = [];
  const log = (name, value) => ({ get [name]() { order.push(name); return value; } });
  const init = Object.defineProperties({}, Object.fromEntries(
    ["reason", "promise", "message", "lineno", "filename", "error", "detail", "composed", "colno", "cancelable", "bubbles"]
      .map((name) => [name, { enumerable: true, get: Object.getOwnPropertyDescriptor(log(name, name === "promise" ? {} : 0), name).get }]),
  ));
  new CustomEvent("x", init);
  new ErrorEvent("x", init);
  new PromiseRejectionEvent("x", init);
  const base = ["bubbles", "cancelable", "composed"];
  assert_array_equals(order, [
    ...base, "detail", ...base, "colno", "error", "filename", "lineno", "message", ...base, "promise", "reason",
  ]);
}, "dictionaries are read in the order of their members");

test(() => {
  const saved = ["type", "currentTarget"].map((name) => [name, Object.getOwnPropertyDescriptor(Event.prototype, name)]);
  const other = { type: "b", currentTarget: null };
  const seen = [];
  const controller = new AbortController();
  const { signal } = controller;
  signal.addEventListener("abort", () => seen.push("listener"));
  signal.onabort = function () {
    seen.push(this === signal);
  };
  for (const [name] of saved) {
    Object.defineProperty(Event.prototype, name, { get: () => other[name], configurable: true, enumerable: true });
  }
  try {
    controller.abort();
  } finally {
    for (const [name, descriptor] of saved) Object.defineProperty(Event.prototype, name, descriptor);
  }
  assert_array_equals(seen, ["listener", true]);
}, "what an event says of itself, patched, leads no dispatch astray");

test(() => {
  const { signal } = new AbortController();
  let heard = 0;
  for (let i = 0; i < 600_000; i++) {
    const target = new EventTarget();
    target.addEventListener("a", () => heard++, { once: true, signal });
    target.dispatchEvent(new Event("a"));
  }
  assert_equals(heard, 600_000);
}, "a signal that lives on does not keep what listened once");

test(() => {
  for (const [prototype, name] of [[AbortSignal.prototype, "onabort"], [MessagePort.prototype, "onmessage"],
    [MessagePort.prototype, "onclose"], [FileReader.prototype, "onload"]]) {
    const { get, set } = Object.getOwnPropertyDescriptor(prototype, name);
    for (const other of [{}, 1, undefined, new EventTarget()]) {
      assert_throws_js(TypeError, () => get.call(other));
      assert_throws_js(TypeError, () => set.call(other, null));
    }
  }
}, "event handler attributes are their interface's");

export default run;
