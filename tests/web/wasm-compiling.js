// WebAssembly JavaScript Interface, 5.1 and 5.2: modules and instances of bytes.
import {
  test, promise_test, run, assert_equals, assert_true, assert_false, assert_array_equals, assert_throws_js, promise_rejects_js,
} from "./harness.js";

const EMPTY = new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
// (module (import "m" "g" (global i32)) (func (export "f") (result i32) global.get 0))
const GLOBAL = new Uint8Array([
  0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 5, 1, 0x60, 0, 1, 0x7f, 2, 8, 1, 1, 0x6d, 1, 0x67, 3, 0x7f, 0, 3, 2, 1, 0, 7, 5, 1, 1, 0x66, 0,
  0, 10, 6, 1, 4, 0, 0x23, 0, 0x0b,
]);
const INVALID = [undefined, null, true, "", Symbol(), 1, {}, ArrayBuffer, ArrayBuffer.prototype, Array.from(EMPTY)];

promise_test(async () => {
  for (const value of [...INVALID, WebAssembly.Module, WebAssembly.Module.prototype]) {
    assert_throws_js(TypeError, () => WebAssembly.validate(value), "validate");
    assert_throws_js(TypeError, () => new WebAssembly.Module(value), "Module");
    await promise_rejects_js(TypeError, WebAssembly.compile(value), "compile");
    await promise_rejects_js(TypeError, WebAssembly.instantiate(value), "instantiate");
  }
  assert_throws_js(TypeError, () => WebAssembly.validate());
  await promise_rejects_js(TypeError, WebAssembly.compile());
  await promise_rejects_js(TypeError, WebAssembly.instantiate());
}, "what is no buffer is a TypeError, from promises a rejection");

test(() => {
  const order = [];
  const options = {
    get importedStringConstants() {
      order.push("importedStringConstants");
      return { toString: () => (order.push("its text"), "s") };
    },
    get builtins() {
      order.push("builtins");
      return [{ toString: () => (order.push("a builtin's text"), "js-string") }].values();
    },
  };
  new WebAssembly.Module(EMPTY, options);
  assert_array_equals(order, ["builtins", "a builtin's text", "importedStringConstants", "its text"]);
  for (const wrong of [5, "x", true, { builtins: 5 }, { builtins: {} }, { importedStringConstants: Symbol() }]) {
    assert_throws_js(TypeError, () => new WebAssembly.Module(EMPTY, wrong));
    assert_throws_js(TypeError, () => WebAssembly.validate(EMPTY, wrong));
  }
  for (const right of [undefined, null, {}, { builtins: [] }, { builtins: ["unknown"] }, { importedStringConstants: null }]) {
    assert_true(WebAssembly.validate(EMPTY, right));
  }
  assert_false(WebAssembly.validate(EMPTY, { builtins: ["js-string", "js-string"] }));
  assert_throws_js(WebAssembly.CompileError, () => new WebAssembly.Module(EMPTY, { builtins: ["x", "x"] }));
}, "options are a dictionary, read once and in order");

test(() => {
  const named = (name) => [name.length, ...new TextEncoder().encode(name)];
  const bytes = (...parts) => new Uint8Array([...EMPTY, ...parts.flatMap((part) => (typeof part === "string" ? named(part) : part))]);
  const constant = bytes([2, 9, 1], "s", "hi", [3, 0x6f, 0, 7, 5, 1], "g", [3, 0]);
  const module = new WebAssembly.Module(constant, { importedStringConstants: "s" });
  assert_equals(new WebAssembly.Instance(module).exports.g.value, "hi");
  assert_equals(WebAssembly.Module.imports(module).length, 0);
  assert_throws_js(TypeError, () => new WebAssembly.Instance(new WebAssembly.Module(constant)));
  const length = bytes([1, 6, 1, 0x60, 1, 0x6f, 1, 0x7f, 2, 25, 1], "wasm:js-string", "length", [0, 0, 7, 5, 1], "f", [0, 0]);
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(length, { builtins: new Set(["js-string"]) }));
  assert_equals(exports.f("four"), 4);
  assert_throws_js(WebAssembly.RuntimeError, () => exports.f(5));
}, "strings can be imported, and what handles them");

promise_test(async () => {
  const resizable = new ArrayBuffer(EMPTY.length, { maxByteLength: 64 });
  new Uint8Array(resizable).set(EMPTY);
  const offset = new ArrayBuffer(EMPTY.length + 4);
  new Uint8Array(offset, 4).set(EMPTY);
  const valid = [EMPTY, EMPTY.buffer, new DataView(EMPTY.buffer), resizable, new Uint8Array(resizable), new DataView(resizable),
    new Uint8Array(offset, 4), new DataView(offset, 4), new Uint16Array(EMPTY.buffer)];
  for (const source of valid) {
    assert_true(WebAssembly.validate(source));
    assert_true((await WebAssembly.compile(source)) instanceof WebAssembly.Module);
  }
  const shrunk = (view) => {
    const buffer = new ArrayBuffer(8, { maxByteLength: 8 });
    const made = view(buffer);
    buffer.resize(2);
    return made;
  };
  const detached = (view) => {
    const buffer = EMPTY.slice().buffer;
    const made = view(buffer);
    buffer.transfer();
    return made;
  };
  const none = [shrunk((b) => new Uint8Array(b, 4)), shrunk((b) => new Uint8Array(b, 4, 2)), detached((b) => b),
    detached((b) => new Uint8Array(b)), detached((b) => new DataView(b)), new Uint8Array()];
  for (const source of none) {
    assert_false(WebAssembly.validate(source));
    await promise_rejects_js(WebAssembly.CompileError, WebAssembly.compile(source));
  }
  const outside = shrunk((b) => new DataView(b, 4));
  assert_throws_js(TypeError, () => WebAssembly.validate(outside));
  await promise_rejects_js(TypeError, WebAssembly.compile(outside));
}, "the bytes are those of the buffer at the time of the call, and none once it is detached");

promise_test(async () => {
  const bytes = EMPTY.slice();
  const promise = WebAssembly.compile(bytes);
  bytes[0] = 1;
  assert_equals(Object.getPrototypeOf(await promise), WebAssembly.Module.prototype);
}, "what is compiled does not change any more");

promise_test(async () => {
  const order = [];
  const imports = {
    get m() {
      order.push("m");
      return { get g() { return order.push("g") * 21; } };
    },
  };
  const promise = WebAssembly.instantiate(GLOBAL, imports);
  assert_equals(order.length, 0, "of bytes later");
  const result = await promise;
  assert_array_equals(order, ["m", "g"]);
  assert_equals(Object.getPrototypeOf(result), Object.prototype);
  assert_equals(Object.keys(result).join(), "instance,module");
  assert_equals(result.instance.exports.f(), 42);
  WebAssembly.instantiate(result.module, imports);
  assert_array_equals(order, ["m", "g", "m", "g"], "of a module at once");
  assert_true((await WebAssembly.instantiate(result.module, imports)) instanceof WebAssembly.Instance);
}, "imports are read when the module is there");

promise_test(async () => {
  for (const wrong of [null, 5, "x"]) {
    await promise_rejects_js(TypeError, WebAssembly.instantiate(EMPTY, wrong));
    await promise_rejects_js(TypeError, WebAssembly.instantiate(new Uint8Array(1), wrong), "before the bytes are looked at");
    await promise_rejects_js(TypeError, WebAssembly.instantiate(new WebAssembly.Module(EMPTY), wrong));
  }
  await promise_rejects_js(TypeError, WebAssembly.instantiate(GLOBAL));
  await promise_rejects_js(TypeError, WebAssembly.instantiate(GLOBAL, {}));
  await promise_rejects_js(WebAssembly.LinkError, WebAssembly.instantiate(GLOBAL, { m: { g: "x" } }));
}, "imports that do not fit are rejections");

promise_test(async () => {
  const message = (bytes) => WebAssembly.compile(bytes).then(() => "", (error) => `${error.name} ${error.message}`);
  assert_true(/^CompileError .*(?:section|end)/.test(await message(GLOBAL.slice(0, -3))), await message(GLOBAL.slice(0, -3)));
  const shared = new Uint8Array([...EMPTY, 5, 4, 1, 3, 1, 1]);
  assert_true((await message(shared)).includes("shared memory"));
  assert_false(WebAssembly.validate(shared));
  assert_throws_js(WebAssembly.CompileError, () => new WebAssembly.Module(shared));
}, "the error says what is wrong with the bytes");

test(() => {
  class Mine extends WebAssembly.Module {}
  const module = new Mine(GLOBAL);
  assert_true(module instanceof Mine && module instanceof WebAssembly.Module);
  assert_equals(Object.prototype.toString.call(module), "[object WebAssembly.Module]");
  assert_equals(JSON.stringify(WebAssembly.Module.exports(module)), '[{"name":"f","kind":"function"}]');
  assert_equals(JSON.stringify(WebAssembly.Module.imports(module)), '[{"module":"m","name":"g","kind":"global"}]');
  assert_equals(WebAssembly.Module.customSections(module, "x").length, 0);
  assert_throws_js(TypeError, () => WebAssembly.Module.customSections(module));
}, "modules tell what they have, and can be extended");

export default run;
