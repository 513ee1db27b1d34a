// What no standard has to say, but a host must: patched built-ins hurt none of the Web APIs' internals, and nothing
// internal gets into a guest's hands through them.
import { test, run, assert_equals, assert_true, assert_array_equals, assert_throws_js } from "./harness.js";

const PATCHED = [
  [Array.prototype, ["push", "pop", "shift", "slice", "splice", "indexOf", "forEach", "map", "filter", "join", "includes", "sort", "concat"]],
  [Map.prototype, ["get", "set", "has", "delete", "forEach", "entries", "keys", "values"]],
  [Set.prototype, ["add", "has", "delete", "forEach", "values"]],
  [WeakMap.prototype, ["get", "set", "has"]],
  [WeakRef.prototype, ["deref"]],
  [Promise.prototype, ["then", "catch", "finally"]],
  [Promise, ["resolve", "reject", "withResolvers"]],
  [Function.prototype, ["call", "apply", "bind"]],
  [Reflect, ["apply", "ownKeys", "construct", "get"]],
  [Object, ["defineProperty", "getOwnPropertyDescriptor", "getPrototypeOf", "setPrototypeOf", "keys", "freeze"]],
  [String.prototype, ["slice", "indexOf", "charCodeAt", "replaceAll", "toWellFormed", "startsWith", "split", "repeat", "includes"]],
  [RegExp.prototype, ["exec", "test"]],
  [JSON, ["stringify", "parse"]],
  [Math, ["trunc", "abs", "min"]],
  [ArrayBuffer.prototype, ["slice", "transfer"]],
  [globalThis, ["decodeURIComponent", "Uint8Array", "Promise", "Map", "Set", "WeakRef"]],
];

/** Runs `body` while every patched function throws; gives what `this` and arguments they got. */
function sabotaged(body) {
  const leaks = [];
  const saved = [];
  const define = Object.defineProperty;
  for (const [holder, names] of PATCHED) {
    for (const name of names) {
      const descriptor = Object.getOwnPropertyDescriptor(holder, name);
      saved[saved.length] = [holder, name, descriptor];
    }
  }
  for (let i = 0; i < saved.length; i++) {
    const [holder, name, descriptor] = saved[i];
    define(holder, name, {
      ...descriptor,
      value: function () {
        leaks[leaks.length] = name;
        throw `${name} was called`;
      },
    });
  }
  try {
    body();
  } finally {
    for (let i = 0; i < saved.length; i++) define(saved[i][0], saved[i][1], saved[i][2]);
  }
  return leaks;
}

const works = (name, body) =>
  test(() => {
    assert_array_equals(sabotaged(body), []);
  }, `${name} calls no patched built-in`);

works("URL", () => {
  const url = new URL("../b?c=%41+d&e=%ff#f", "http://u:p@h:81/x/y");
  url.searchParams.append("g", "\u00e9 ");
  url.searchParams.sort();
  url.hash = "z";
  if (url.href !== "http://u:p@h:81/b?c=A+d&e=%EF%BF%BD&g=%C3%A9+#z") throw url.href;
  if (url.searchParams.get("c") !== "A d" || !URL.canParse("a:b")) throw "searchParams";
});

works("Event", () => {
  const target = new EventTarget();
  let calls = 0;
  const listener = () => calls++;
  target.addEventListener("a", listener, { once: true });
  target.addEventListener("b", listener);
  target.removeEventListener("b", listener);
  target.dispatchEvent(new Event("a"));
  target.dispatchEvent(new CustomEvent("b", { detail: 1 }));
  if (calls !== 1) throw calls;
});

works("AbortController", () => {
  const a = new AbortController();
  const b = new AbortController();
  const any = AbortSignal.any([a.signal, b.signal]);
  let seen = 0;
  any.onabort = () => seen++;
  new EventTarget().addEventListener("x", () => {}, { signal: any });
  b.abort();
  if (seen !== 1 || !any.aborted) throw seen;
});

works("Encoding", () => {
  const bytes = new TextEncoder().encode("h\u00e9");
  if (new TextDecoder("utf-8", { fatal: true }).decode(bytes) !== "h\u00e9") throw "utf-8";
  if (new TextDecoder("latin1").decode(bytes, { stream: true }).length !== 3) throw "latin1";
  if (atob(btoa("x")) !== "x") throw "base64";
});

works("ReadableStream", () => {
  let controller;
  const stream = new ReadableStream({ start: (c) => (controller = c), pull() {} });
  controller.enqueue(1);
  const [a] = stream.tee();
  const reader = a.getReader();
  reader.read();
  reader.closed;
  controller.enqueue(2);
  controller.close();
  reader.releaseLock();
});

// Their constructors are patched, too.
const collections = new Map([[1, new Set([2])]]);
const bytes = new Uint8Array(1);

works("structuredClone", () => {
  if (structuredClone({ a: [1] }).a[0] !== 1) throw "clone";
  const { buffer } = bytes;
  const source = [collections, new Date(0), /x/g, new Error("m", { cause: 1 }), bytes, , 3n];
  source.extra = [Object(1), new DOMException("m", "n"), new Array(5000)];
  if (structuredClone(source, { transfer: [buffer] })[4].length !== 1) throw "transfer";
});

works("console", () => {
  console.debug({ a: [1, "x", new Date(0), /x/, () => {}] }, new Error("m").message, "%s", "y");
  console.debug("%s %d", "y", 5);
  console.group();
  console.debug("a\nb");
  console.groupEnd();
  console.count("robust");
});

works("performance and queueMicrotask", () => {
  performance.now();
  queueMicrotask(() => {});
  performance.mark("a", { startTime: 2, detail: { a: [1] } });
  performance.mark("b", { startTime: 1 });
  if (performance.measure("m", "b", "a").duration !== 1) throw "measure";
  if (performance.getEntriesByType("mark")[0].name !== "b") throw "entries";
  performance.clearMarks();
  performance.clearMeasures();
});

works("MessageChannel", () => {
  const { port1, port2 } = new MessageChannel();
  port2.onmessage = () => {};
  port1.postMessage({ a: [1, collections] }, [new ArrayBuffer(1)]);
  port1.postMessage(1, { transfer: [new MessageChannel().port1] });
  new MessageEvent("x", { ports: [port1] });
  structuredClone(port2, { transfer: [port2] });
  port1.close();
});

works("timers and scheduler", () => {
  clearTimeout(setTimeout(() => {}, 1, 2));
  clearImmediate(setImmediate(() => {}));
  const { signal } = new AbortController();
  scheduler.postTask(() => {}, { signal, priority: "background" });
  scheduler.wait(1);
  scheduler.yield();
});

works("the global object's events", () => {
  let seen = 0;
  onerror = () => {
    seen++;
    return true;
  };
  reportError(1);
  onerror = null;
  addEventListener("x", () => seen++, { once: true });
  dispatchEvent(new Event("x"));
  if (seen !== 2) throw seen;
  new PromiseRejectionEvent("x", { promise: {} });
});

works("DOMException", () => {
  if (new DOMException("m", "AbortError").code !== 20) throw "code";
});

test(() => {
  assert_equals(typeof nexus, "undefined");
  assert_equals(globalThis.ops, undefined);
  for (const key of Reflect.ownKeys(globalThis)) {
    assert_true(!String(key).includes("nexus"), String(key));
  }
  const error = (() => {
    try {
      new URL("x");
    } catch (e) {
      return e;
    }
  })();
  assert_equals(error.constructor, TypeError);
  for (const Class of [AbortSignal, Performance, ReadableStreamDefaultController]) {
    assert_throws_js(TypeError, () => new Class(undefined));
    assert_throws_js(TypeError, () => Reflect.construct(Class, [{}], Object));
  }
}, "the internal registry cannot be found");

export default run;
