// Console, 1 Namespace console. What is written is the host's tests' matter; here: that no argument does harm.
import { test, run, assert_equals, assert_true, assert_false, assert_throws_js, assert_throws_exactly } from "./harness.js";

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
  const calls = [];
  const value = { toString: () => (calls.push("text"), "42") };
  for (const specifier of ["%s", "%d", "%i", "%f"]) console.log(specifier, value);
  assert_equals(calls.length, 4);
  const thrown = new Error("mine");
  for (const specifier of ["%s", "%d", "%i", "%f"]) {
    assert_throws_exactly(thrown, () => console.log(specifier, { toString() { throw thrown; } }), specifier);
    console.log(specifier, Symbol("x"));
  }
  console.log(value, "%s", value);
  assert_equals(calls.length, 4, "only where a specifier asks for it");
}, "%s, %d, %i and %f convert as String, parseInt and parseFloat do");

test(() => {
  let touched = false;
  const touch = () => {
    touched = true;
    throw new Error("run by the console");
  };
  const circular = { self: null };
  circular.self = circular;
  const trap = new Proxy({}, new Proxy({}, { get: () => touch }));
  const detached = new ArrayBuffer(8);
  detached.transfer();
  let deep = [];
  for (let i = 0; i < 10_000; i++) deep = [deep];
  for (const value of [
    { get a() { return touch(); } }, { toString: touch, [Symbol.toPrimitive]: touch }, circular, trap, [trap],
    Object.create(trap), Object.create(null), new Map([[circular, trap]]), new Set([trap]), Symbol("s"), 5n, -0,
    [, 1], new Array(1e9), "\ud800", new Date(NaN), /x/, new Error("e", { cause: circular }), class A {}, async () => {},
    (function* () {})(), Promise.resolve(), new WeakMap(), new Uint8Array(1e5), new ArrayBuffer(8), Object(5n),
    globalThis, function named() {}, new (class extends Map {})(), "x".repeat(200_000), Object.create({ constructor: null }),
    { get stack() { return touch(); } }, new URL("http://h/"), new Headers({ a: "b" }), new AbortController(),
    new DOMException("m", "AbortError"), Object.assign(new Error("m"), { stack: 5 }), Object.create(Error.prototype),
    Object.defineProperty(new Error("m"), "stack", { get: touch }), [[[[[[[[[[]]]]]]]]]], Promise.reject(trap).catch(() => {}),
    Object.defineProperty(new URL("http://h/"), "href", { get: touch, enumerable: true }), new Response("x"), detached, deep,
    class extends (class { static name = { toString: touch }; }) {}, Object.setPrototypeOf(class {}, new Proxy(class {}, new Proxy({}, { get: () => touch }))),
    Object.defineProperty(/x/, "source", { get: touch }), Object.defineProperty(/x/, "flags", { get: touch }),
    (function () { arguments.length = { valueOf: touch }; return arguments; })(1),
  ]) {
    console.log(value);
    console.log("%o %O %c%%", value, value, value);
    console.dir(value, { depth: 1 });
    console.table([value]);
    console.table(value);
  }
  // Getters of ours that the guest has replaced are none of ours any more.
  const href = Object.getOwnPropertyDescriptor(URL.prototype, "href");
  Object.defineProperty(URL.prototype, "href", { ...href, get: touch });
  console.log(new URL("http://h/"));
  Object.defineProperty(URL.prototype, "href", href);
  // Nor is what they find in a descriptor of a guest's making.
  for (const name of ["get", "set", "value", "enumerable"]) {
    Object.defineProperty(Object.prototype, name, { __proto__: null, get: touch, configurable: true });
  }
  console.log({ a: 1, get b() { return 1; } }, [1, , 2], new Error("m", { cause: 1 }), new URL("http://h/"));
  console.table([{ a: 1, get b() { return 1; } }, 5]);
  for (const name of ["get", "set", "value", "enumerable"]) delete Object.prototype[name];
  assert_false(touched);
}, "logging runs no code of the logged values");

test(() => {
  for (const name of ["count", "countReset", "time", "timeLog", "timeEnd"]) {
    let converted = 0;
    console[name]({ toString: () => `${converted++}` });
    assert_equals(converted, 1, name);
    const thrown = new Error("mine");
    assert_throws_exactly(thrown, () => console[name]({ toString() { throw thrown; } }), name);
    assert_throws_js(TypeError, () => console[name](Symbol()), name);
  }
}, "labels are converted to text");

test(() => {
  for (const wrong of [5, {}, "text".length]) assert_throws_js(TypeError, () => console.table([], wrong));
  console.table([], new Set(["a"]));
  assert_throws_js(TypeError, () => console.dir({}, 5));
  console.dir({}, null);
}, "the arguments of table and dir are converted as Web IDL has it");

test(() => {
  for (const Interface of [URL, URLSearchParams, Headers, FormData, Request, Response, TextDecoder, AbortSignal]) {
    console.log(Interface.prototype, Object.create(Interface.prototype));
    console.log([Object.setPrototypeOf(new Map(), Interface.prototype)]);
  }
}, "what only inherits from an interface is shown without attributes");

test(() => {
  const wide = {};
  for (let i = 0; i < 300; i++) wide[i] = Array.from({ length: 300 }, () => ({ deep: [{ a: 1 }] }));
  console.log(wide);
}, "the work for one value is bounded");

export default run;
