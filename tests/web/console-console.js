// Console, 1 Namespace console. What is written is the host's tests' matter; here: that no argument does harm.
import { test, run, assert_equals, assert_true, assert_false } from "./harness.js";

const METHODS = [
  "assert", "clear", "count", "countReset", "debug", "dir", "dirxml", "error", "group", "groupCollapsed", "groupEnd",
  "info", "log", "table", "time", "timeEnd", "timeLog", "trace", "warn",
];

test(() => {
  const own = Object.getOwnPropertyDescriptor(globalThis, "console");
  assert_true(own.writable && own.configurable);
  assert_false(own.enumerable);
  assert_equals(Object.prototype.toString.call(console), "[object console]");
  const parent = Object.getPrototypeOf(console);
  assert_equals(Object.getPrototypeOf(parent), Object.prototype);
  assert_equals(Reflect.ownKeys(parent).length, 0);
  for (const name of METHODS) {
    assert_equals(typeof console[name], "function", name);
    assert_equals(console[name].length, 0, `${name}.length`);
    assert_true(Object.getOwnPropertyDescriptor(console, name).enumerable, name);
  }
}, "console is a namespace object");

test(() => {
  for (const name of METHODS) {
    const method = console[name];
    assert_equals(method(), undefined, name);
  }
  console.groupEnd();
  console.groupEnd();
}, "the methods need neither receiver nor arguments");

test(() => {
  let touched = false;
  const touch = () => {
    touched = true;
    throw new Error("run by the console");
  };
  const circular = { self: null };
  circular.self = circular;
  const trap = new Proxy({}, new Proxy({}, { get: () => touch }));
  for (const value of [
    { get a() { return touch(); } }, { toString: touch, [Symbol.toPrimitive]: touch }, circular, trap, [trap],
    Object.create(trap), Object.create(null), new Map([[circular, trap]]), new Set([trap]), Symbol("s"), 5n, -0,
    [, 1], new Array(1e9), "\ud800", new Date(NaN), /x/, new Error("e", { cause: circular }), class A {}, async () => {},
    (function* () {})(), Promise.resolve(), new WeakMap(), new Uint8Array(1e5), new ArrayBuffer(8), Object(5n),
    globalThis, function named() {}, new (class extends Map {})(), "x".repeat(200_000), Object.create({ constructor: null }),
    { get stack() { return touch(); } }, new URL("http://h/"), new Headers({ a: "b" }), new AbortController(),
    new DOMException("m", "AbortError"), Object.assign(new Error("m"), { stack: 5 }), Object.create(Error.prototype),
    Object.defineProperty(new Error("m"), "stack", { get: touch }), [[[[[[[[[[]]]]]]]]]],
  ]) {
    console.debug(value);
    console.debug("%o %O %s %d %i %f %c%%", value, value, value, value, value, value);
    console.dir(value, { depth: 1 });
    console.table([value]);
    console.table(value);
  }
  assert_false(touched);
}, "logging runs no code of the logged values");

test(() => {
  const wide = {};
  for (let i = 0; i < 300; i++) wide[i] = Array.from({ length: 300 }, () => ({ deep: [{ a: 1 }] }));
  console.debug(wide);
}, "the work for one value is bounded");

export default run;
