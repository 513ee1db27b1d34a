// WebAssembly JavaScript Interface, 5.3 to 5.9: memories, globals, tags, exceptions.
import { test, run, assert_equals, assert_true, assert_false, assert_array_equals, assert_throws_js } from "./harness.js";

const { Memory, Tag, Exception, Global } = WebAssembly;
const PAGE = 65536;

test(() => {
  const order = [];
  const logged = (name) => ({
    get: () => {
      order.push(name);
      return { valueOf: () => (order.push(`${name} valueOf`), 1) };
    },
  });
  new Memory(Object.defineProperties({}, { maximum: logged("maximum"), initial: logged("initial") }));
  assert_array_equals(order, ["initial", "initial valueOf", "maximum", "maximum valueOf"]);
  new Memory(new Proxy({ initial: 0 }, { has: () => assert_true(false, "asked whether it has one") }));
}, "a memory's descriptor is read and converted in order, each property once");

test(() => {
  for (const wrong of [undefined, null, false, "", Symbol(), 1, {}, { initial: undefined }]) {
    assert_throws_js(TypeError, () => new Memory(wrong));
  }
  for (const value of [NaN, Infinity, -Infinity, -1, 2 ** 32]) {
    assert_throws_js(TypeError, () => new Memory({ initial: value }), value);
    assert_throws_js(TypeError, () => new Memory({ initial: 0, maximum: value }), value);
  }
  assert_throws_js(RangeError, () => new Memory({ initial: 10, maximum: 9 }));
  assert_throws_js(TypeError, () => Memory({ initial: 0 }));
  assert_equals(new Memory({ initial: 4 }, {}).buffer.byteLength, 4 * PAGE);
  assert_equals(new Memory({ initial: 1n, address: "i64" }).buffer.byteLength, PAGE);
}, "a descriptor that is wrong is refused");

test(() => {
  for (const shared of [true, 1, "yes", {}]) {
    assert_throws_js(TypeError, () => new Memory({ initial: 1, maximum: 1, shared }));
  }
  for (const shared of [false, 0, "", null, undefined]) new Memory({ initial: 1, maximum: 1, shared });
  let reads = 0;
  const descriptor = { initial: 1, maximum: 1, get shared() { return reads++ > 0; } };
  const { buffer } = new Memory(descriptor);
  assert_true(buffer instanceof ArrayBuffer, "not shared");
}, "no memory is shared");

test(() => {
  const memory = new Memory({ initial: 0, maximum: 2 });
  const first = memory.buffer;
  const second = memory.toResizableBuffer();
  assert_true(first.detached && second.resizable && memory.buffer === second);
  assert_equals(second.maxByteLength, 2 * PAGE);
  second.resize(PAGE);
  assert_equals(memory.buffer.byteLength, PAGE);
  assert_throws_js(RangeError, () => second.resize(1));
  assert_throws_js(TypeError, () => second.transfer());
  assert_false(memory.toFixedLengthBuffer().resizable);
  assert_equals(memory.grow(1), 1);
}, "a memory's buffer can be made resizable");

test(() => {
  const global = new Global({ value: "i32", mutable: true }, 7);
  const { set } = Object.getOwnPropertyDescriptor(Global.prototype, "value");
  assert_equals(set.call(global), undefined);
  assert_equals(global.value, 0);
  global.value = { valueOf: () => 5 };
  assert_equals(global.value, 5);
  assert_throws_js(TypeError, () => (global.value = 5n));
  assert_throws_js(TypeError, () => (new Global({ value: "i64", mutable: true }).value = undefined));
  assert_throws_js(TypeError, () => (new Global({ value: "i32" }).value = { valueOf: () => assert_true(false, "converted") }));
  assert_throws_js(TypeError, () => set.call({}, 1));
}, "a global's setter takes undefined for what is missing");

test(() => {
  for (const wrong of [undefined, null, 1, "", Symbol(), {}, { parameters: 1 }, { parameters: { length: 0 } }]) {
    assert_throws_js(TypeError, () => new Tag(wrong));
  }
  for (const type of ["i16", "f16", "u32", "i32\0", ""]) assert_throws_js(TypeError, () => new Tag({ parameters: [type] }), type);
  assert_throws_js(TypeError, () => Tag({ parameters: [] }));
  assert_throws_js(TypeError, () => new Tag({ parameters: new Array(1001).fill("i32") }));
  const tag = new Tag({ parameters: ["i32", "i64", "f32", "f64", "externref"].values() });
  assert_equals(Object.prototype.toString.call(tag), "[object WebAssembly.Tag]");
}, "a tag's parameters are a sequence of types");

test(() => {
  const tag = new Tag({ parameters: ["i32"] });
  const plain = new Exception(tag, [5].values());
  assert_true(plain.is(tag));
  assert_equals(plain.getArg(tag, 0), 5);
  assert_equals(plain.stack, undefined);
  const traced = new Exception(tag, [5], { traceStack: true });
  assert_equals(typeof traced.stack, "string");
  const { get } = Object.getOwnPropertyDescriptor(Exception.prototype, "stack");
  assert_equals(get.call(traced), traced.stack);
  assert_throws_js(TypeError, () => get.call({}));
  for (const wrong of [[], [tag], [tag, 5], [{}, []], [WebAssembly.JSTag, [{}]]]) {
    assert_throws_js(TypeError, () => new Exception(...wrong));
  }
  const untouched = new Proxy({}, { get: () => assert_true(false, "read before the tag was looked at") });
  for (const wrong of [undefined, {}, plain]) assert_throws_js(TypeError, () => new Exception(wrong, untouched, untouched));
  assert_true(WebAssembly.JSTag instanceof Tag);
  assert_equals(WebAssembly.JSTag, WebAssembly.JSTag);
}, "exceptions have what they were made of, and a stack if that was asked for");

test(() => {
  for (const name of ["Module", "Memory", "Tag"]) {
    const Class = WebAssembly[name];
    assert_equals(Class.prototype.constructor, Class, name);
  }
  // V8's own constructors, which look at nothing, must not be found again.
  const found = new Set();
  const look = (object) => {
    if ((typeof object !== "object" && typeof object !== "function") || object === null || found.has(object)) return;
    found.add(object);
    for (const key of Reflect.ownKeys(object)) {
      const { value, get } = Object.getOwnPropertyDescriptor(object, key);
      look(value ?? get);
    }
    look(Object.getPrototypeOf(object));
  };
  look(WebAssembly);
  look(new Memory({ initial: 0 }));
  const memories = [...found].filter((value) => typeof value === "function" && value.name === "Memory");
  assert_equals(memories.length, 1);
  assert_equals(memories[0], Memory);
}, "the constructors are the only ones of their names");

export default run;
