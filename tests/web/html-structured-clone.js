// HTML, 2.7 Safe passing of structured data.
import {
  test, run, assert_equals, assert_not_equals, assert_true, assert_false, assert_array_equals, assert_throws_js, assert_throws_dom,
  assert_throws_exactly,
} from "./harness.js";

test(() => {
  for (const value of [undefined, null, true, 5, -0, NaN, 5n, "x", "\ud800"]) assert_equals(structuredClone(value), value);
  assert_equals(structuredClone.length, 1);
  assert_throws_js(TypeError, () => structuredClone());
}, "primitives");

test(() => {
  const source = { a: [1, , 3], date: new Date(5), map: new Map([["k", new Set([1])]]), re: /x/gi, big: Object(5n) };
  source.self = source;
  const clone = structuredClone(source);
  assert_true(clone !== source && clone.self === clone);
  assert_equals(clone.a.length, 3);
  assert_true(!(1 in clone.a));
  assert_equals(clone.date.getTime(), 5);
  assert_true(clone.map.get("k").has(1));
  assert_equals(String(clone.re), "/x/gi");
  assert_equals(clone.big.valueOf(), 5n);
}, "objects, arrays, maps, sets, dates, regular expressions, cycles");

test(() => {
  class Mine {
    x = 1;
    #y = 2;
    get z() {
      return 3;
    }
  }
  const clone = structuredClone(new Mine());
  assert_equals(Object.getPrototypeOf(clone), Object.prototype);
  assert_equals(Object.keys(clone).join(), "x");
}, "instances become plain objects");

test(() => {
  const error = new RangeError("m", { cause: { c: 1 } });
  const clone = structuredClone(error);
  assert_true(clone instanceof RangeError);
  assert_equals(clone.message, "m");
  assert_equals(clone.cause.c, 1);
}, "errors");

test(() => {
  const source = { buffer: new ArrayBuffer(8), half: null, view: new DataView(new ArrayBuffer(2)) };
  source.half = new Uint8Array(source.buffer, 4);
  source.half[0] = 7;
  const clone = structuredClone(source);
  assert_equals(clone.half.buffer, clone.buffer);
  assert_equals(clone.half.byteOffset, 4);
  assert_equals(clone.half[0], 7);
  assert_equals(source.buffer.byteLength, 8);
  assert_equals(clone.view.byteLength, 2);
}, "buffers are copied, and views keep sharing them");

test(() => {
  const buffer = new Uint8Array([1, 2, 3]).buffer;
  const clone = structuredClone({ buffer, view: new Uint8Array(buffer, 1) }, { transfer: [buffer] });
  assert_equals(buffer.byteLength, 0);
  assert_array_equals(new Uint8Array(clone.buffer), [1, 2, 3]);
  assert_equals(clone.view.buffer, clone.buffer);
  assert_throws_dom("DataCloneError", () => structuredClone(buffer, { transfer: [buffer] }), "detached already");
  const twice = new ArrayBuffer(1);
  assert_throws_dom("DataCloneError", () => structuredClone(1, { transfer: [twice, twice] }));
  assert_throws_dom("DataCloneError", () => structuredClone(1, { transfer: [{}] }));
  assert_equals(twice.byteLength, 1);
  assert_equals(structuredClone(5, { transfer: [twice] }), 5);
  assert_equals(twice.byteLength, 0);
}, "transferred buffers move");

test(() => {
  for (const bad of [() => {}, Symbol(), { f() {} }, new WeakMap(), Promise.resolve(), new Proxy({}, {}), (function* () {})()]) {
    assert_throws_dom("DataCloneError", () => structuredClone(bad));
  }
  const kept = new ArrayBuffer(1);
  assert_throws_dom("DataCloneError", () => structuredClone(() => {}, { transfer: [kept] }));
  assert_equals(kept.byteLength, 1, "nothing is detached when cloning fails");
}, "what cannot be cloned is a DataCloneError");

test(() => {
  const error = new Error("of the getter");
  assert_throws_exactly(error, () => structuredClone({ get a() { throw error; } }));
}, "a getter's exception passes through");

test(() => {
  let depth = 0;
  let deep = null;
  for (let i = 0; i < 100_000; i++) deep = i % 3 === 0 ? [deep] : i % 3 === 1 ? { deep } : new Map([[1, deep]]);
  let clone = structuredClone(deep);
  for (; clone !== null; depth++) clone = Array.isArray(clone) ? clone[0] : clone instanceof Map ? clone.get(1) : clone.deep;
  assert_equals(depth, 100_000);
}, "depth costs no stack");

test(() => {
  const order = [];
  const say = (name, value) => ({ get value() { order.push(name); return value; } });
  const source = {
    get a() { order.push("a"); return say("a.value", [say("a.value.0")]); },
    b: new Map([[say("key"), say("entry")]]),
    c: new Set([say("element")]),
    get d() { order.push("d"); return 1; },
  };
  structuredClone(source);
  assert_array_equals(order, ["a", "a.value", "a.value.0", "key", "entry", "element", "d"]);
}, "getters are called once each, depth first, in order");

test(() => {
  const removing = { get a() { delete removing.b; removing.c = 1; return 0; }, b: 1 };
  assert_equals(Object.keys(structuredClone(removing)).join(), "a", "removed and added meanwhile");
  const hiding = { get a() { Object.defineProperty(hiding, "b", { enumerable: false }); return 0; }, b: 1 };
  assert_equals(Object.keys(structuredClone(hiding)).join(), "a,b", "hidden meanwhile");
  const map = new Map([[{ get a() { map.set(2, 2); return 1; } }, 1]]);
  assert_equals(structuredClone(map).size, 1);
}, "changes while it clones");

test(() => {
  const sparse = [1, , 3];
  sparse.extra = { x: 1 };
  sparse[-1] = "minus";
  const clone = structuredClone(sparse);
  assert_equals(clone.length, 3);
  assert_false(1 in clone);
  assert_equals(clone.extra.x, 1);
  assert_equals(clone[-1], "minus");
  const huge = [];
  huge[4_000_000_000] = "far";
  huge[5] = { near: 1 };
  const far = structuredClone(huge);
  assert_equals(far.length, 4_000_000_001);
  assert_equals(far[4_000_000_000], "far");
  assert_equals(far[5].near, 1);
  assert_equals(Object.keys(far).length, 2);
  const tail = structuredClone(new Array(10));
  assert_equals(tail.length, 10);
  assert_false(9 in tail);
  class Mine extends Array {}
  const mine = structuredClone(Mine.of(1, 2));
  assert_equals(Object.getPrototypeOf(mine), Array.prototype);
  assert_array_equals(mine, [1, 2]);
  const cycle = [];
  cycle[0] = cycle;
  assert_equals(structuredClone(cycle)[0].length, 1);
}, "arrays with holes, other properties, huge lengths");

test(() => {
  const seen = [];
  const key = "patchedByTheTest";
  try {
    Object.defineProperty(Object.prototype, key, { set(v) { seen.push(v); }, get() { return "inherited"; }, configurable: true });
    Object.defineProperty(Array.prototype, 1, { set(v) { seen.push(v); }, get() { return "inherited"; }, configurable: true });
    const source = {};
    Object.defineProperty(source, key, { value: "own", enumerable: true });
    const list = [0];
    Object.defineProperty(list, 1, { value: "element", enumerable: true });
    assert_equals(structuredClone(source)[key], "own");
    assert_equals(structuredClone(list)[1], "element");
    const holes = structuredClone([0, , 2]);
    assert_false(Object.hasOwn(holes, 1));
    assert_equals(holes[2], 2);
  } finally {
    delete Object.prototype[key];
    delete Array.prototype[1];
  }
  assert_equals(seen.length, 0);
  const proto = structuredClone(JSON.parse('{"__proto__": 1}'));
  assert_equals(Object.getOwnPropertyDescriptor(proto, "__proto__").value, 1);
}, "what a guest puts into prototypes sees none of it");

test(() => {
  for (const Class of [Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError]) {
    const error = new Class("m");
    error.other = 1;
    const clone = structuredClone(error);
    assert_equals(clone.constructor, Class);
    assert_equals(clone.stack, error.stack);
    assert_equals(clone.other, undefined);
    assert_false(Object.getOwnPropertyDescriptor(clone, "message").enumerable);
  }
  assert_false(Object.hasOwn(structuredClone(new Error()), "message"));
  const named = new Error("x");
  named.name = "TypeError";
  assert_true(structuredClone(named) instanceof TypeError);
  named.name = "Mine";
  assert_equals(structuredClone(named).name, "Error");
  const getter = new Error();
  Object.defineProperty(getter, "message", { get: () => "computed", configurable: true });
  assert_false(Object.hasOwn(structuredClone(getter), "message"));
  Object.defineProperty(getter, "message", { value: 5 });
  assert_equals(structuredClone(getter).message, "5");
  const ring = new Error("ring");
  ring.cause = { ring };
  const copy = structuredClone(ring);
  assert_equals(copy.cause.ring, copy);
  assert_equals(structuredClone(new AggregateError([1])).constructor, Error);
}, "errors: names, messages, stacks, causes");

test(() => {
  const error = new DOMException("m", "AbortError");
  const clone = structuredClone({ error, again: error });
  assert_true(clone.error instanceof DOMException && clone.error !== error);
  assert_equals(clone.error, clone.again);
  assert_equals(`${clone.error.name} ${clone.error.message} ${clone.error.code}`, "AbortError m 20");
  assert_equals(clone.error.stack, error.stack);
  const quota = structuredClone(new QuotaExceededError("q", { quota: 1, requested: 2 }));
  assert_true(quota instanceof QuotaExceededError);
  assert_equals(`${quota.quota} ${quota.requested} ${quota.message}`, "1 2 q");
  for (const platform of [new Headers(), new Response(), new EventTarget(), new AbortController().signal, new URL("a:b"), new Event("x")]) {
    assert_throws_dom("DataCloneError", () => structuredClone(platform));
  }
  class Mine extends EventTarget {}
  assert_throws_dom("DataCloneError", () => structuredClone([new Mine()]));
}, "DOMExceptions are cloned; other platform objects are not");

test(() => {
  const resizable = new ArrayBuffer(4, { maxByteLength: 8 });
  const clone = structuredClone({ resizable, all: new Uint8Array(resizable), some: new Uint8Array(resizable, 1, 2) });
  assert_equals(clone.resizable.maxByteLength, 8);
  clone.resizable.resize(8);
  assert_equals(clone.all.length, 8);
  assert_equals(clone.some.length, 2);
  const outside = new Uint8Array(resizable, 2);
  const view = new DataView(resizable, 2);
  resizable.resize(0);
  assert_throws_dom("DataCloneError", () => structuredClone(outside));
  assert_throws_dom("DataCloneError", () => structuredClone(view));
  const moved = structuredClone(clone.resizable, { transfer: [clone.resizable] });
  assert_true(moved.resizable);
  for (const View of [Int8Array, Uint8ClampedArray, Float16Array, Float64Array, BigInt64Array, DataView]) {
    const copy = structuredClone(new View(new ArrayBuffer(24), 8));
    assert_equals(Object.getPrototypeOf(copy), View.prototype);
    assert_equals(`${copy.byteOffset} ${copy.byteLength} ${copy.buffer.byteLength}`, "8 16 24");
  }
}, "resizable buffers, views out of bounds, all kinds of views");

test(() => {
  const error = new Error("of the getter");
  const detached = new ArrayBuffer(1);
  structuredClone(0, { transfer: [detached] });
  assert_throws_exactly(error, () => structuredClone({ get a() { throw error; } }, { transfer: [detached] }));
  assert_throws_dom("DataCloneError", () => structuredClone({ get a() { throw error; } }, { transfer: [{}] }));
  assert_throws_js(TypeError, () => structuredClone(0, { transfer: [1] }));
  const { buffer } = new WebAssembly.Memory({ initial: 1 });
  assert_throws_js(TypeError, () => structuredClone(0, { transfer: [buffer] }), "of a WebAssembly.Memory");
  assert_throws_js(TypeError, () => structuredClone(0, { transfer: 1 }));
  assert_throws_js(TypeError, () => structuredClone(0, 1));
  assert_throws_js(TypeError, () => structuredClone.call({}, 0));
  const { port1, port2 } = new MessageChannel();
  const map = structuredClone(new Map([[port1, port1]]), { transfer: [port1] });
  const [[key, value]] = map;
  assert_true(key instanceof MessagePort && key === value && key !== port1);
  assert_throws_dom("DataCloneError", () => structuredClone(port2));
  assert_throws_dom("DataCloneError", () => structuredClone([port1, port2], { transfer: [port2, port2] }));
}, "the list is checked first, what is detached last");

test(() => {
  const all = [new Boolean(false), new Number(-0), new String("s"), Object(5n), new Date(NaN), /a\/b/dgimsuy, new RegExp("x", "v")];
  const clone = structuredClone(all);
  for (let i = 0; i < all.length; i++) {
    assert_equals(Object.getPrototypeOf(clone[i]), Object.getPrototypeOf(all[i]));
    assert_not_equals(clone[i], all[i]);
    assert_equals(String(clone[i]), String(all[i]));
  }
  const bad = [
    Object(Symbol()), new WeakMap(), new WeakSet(), new WeakRef({}), new Proxy([], {}), new Intl.NumberFormat(), [][Symbol.iterator](),
    new Map().entries(), (async () => {})(), async function* () {}(), new FinalizationRegistry(() => {}), { s: Symbol() },
  ];
  for (const value of bad) assert_throws_dom("DataCloneError", () => structuredClone(value), Object.prototype.toString.call(value));
  (function () {
    const args = structuredClone(arguments);
    assert_equals(JSON.stringify(args), '{"0":1,"1":2}');
  })(1, 2);
  const lost = structuredClone(Object.prototype);
  Object.setPrototypeOf(lost, { some: "proto" });
  assert_equals(Object.keys(structuredClone(Object.create({ inherited: 1 }))).length, 0);
}, "boxes, dates, expressions; what else there is");

export default run;

test(() => {
  let error = new Error("the first");
  for (let i = 0; i < 100_000; i++) error = new Error("another", { cause: error });
  let depth = 0;
  for (let copy = structuredClone(error); copy.cause !== undefined; copy = copy.cause) depth++;
  assert_equals(depth, 100_000);
}, "a chain of causes may be as long as it likes");

test(() => {
  const plain = (keys) => Object.fromEntries(keys.map((key, i) => [key, i]));
  const same = [
    // One after another with the same first key, and not alike otherwise.
    plain(["a", "b", "c"]), plain(["a", "b", "c"]), plain(["a", "c", "b"]), plain(["a", "b"]), plain(["a", "b", "c", "d"]), {},
    plain(["a", "b", "c"]), { a: undefined, b: { a: 1, b: 2, c: 3 }, c: [] }, { a: null, b: undefined, c: 5 },
    plain(["toString", "a"]), plain(["toString", "a"]), { ["__proto__"]: 1, a: 2 }, { ["__proto__"]: 3, a: 4 },
    Object.freeze(plain(["a", "b", "c"])),
  ];
  const copies = structuredClone(same);
  for (let i = 0; i < same.length; i++) {
    assert_equals(JSON.stringify(copies[i]), JSON.stringify(same[i]), String(i));
    assert_equals(Object.keys(copies[i]).join(), Object.keys(same[i]).join(), String(i));
    for (const [key, { writable, enumerable, configurable }] of Object.entries(Object.getOwnPropertyDescriptors(copies[i]))) {
      assert_true(writable && enumerable && configurable, key);
    }
  }
  // A getter takes a property away that others of its kind have.
  const [first, second, third] = structuredClone([
    { a: 1, b: 2, c: 3 }, { get a() { delete this.b; return 7; }, b: 2, c: 3 }, { a: 4, b: 5, c: 6 },
  ]);
  assert_equals(JSON.stringify([first, second, third]), '[{"a":1,"b":2,"c":3},{"a":7,"c":3},{"a":4,"b":5,"c":6}]');
}, "plain objects with the same keys, or almost the same");
