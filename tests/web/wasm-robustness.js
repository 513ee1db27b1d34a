// WebAssembly is made when it is first asked for; what the guest has changed until then is no matter.
import { test, run, assert_equals, assert_true, assert_throws_js } from "./harness.js";

test(() => {
  const added = { get: () => 1, set: 2, value: 3, writable: 4, enumerable: 5, configurable: 6, builtins: 7, parameters: 8 };
  Object.assign(Object.prototype, added);
  try {
    assert_equals(Object.keys(Object.getOwnPropertyDescriptor(WebAssembly, "Module")).length, 4);
  } finally {
    for (const name in added) delete Object.prototype[name];
  }
  const { writable, enumerable, configurable } = Object.getOwnPropertyDescriptor(WebAssembly, "Module");
  assert_true(writable && !enumerable && configurable);
  assert_equals(WebAssembly.Module.length, 1);
  assert_equals(Object.getOwnPropertyDescriptor(WebAssembly, "JSTag").set, undefined);
  assert_throws_js(TypeError, () => Object.getOwnPropertyDescriptor(WebAssembly.Exception.prototype, "stack").get.call({}));
}, "properties of Object.prototype are none of descriptors");

test(() => {
  function module() {
    "use asm";
    function one() { return 1 | 0; }
    return { one: one };
  }
  const { one } = module();
  assert_equals(one(), 1);
  const table = new WebAssembly.Table({ element: "anyfunc", initial: 1 });
  assert_throws_js(TypeError, () => table.set(0, one));
}, "asm.js is JavaScript, and makes no WebAssembly that nobody counts");

export default run;
