// HTML, 2.7 Safe passing of structured data.
import {
  test, run, assert_equals, assert_true, assert_array_equals, assert_throws_js, assert_throws_dom, assert_throws_exactly,
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

export default run;
