// WebAssembly, as V8 has it, but for memory that threads share: guests have none, and cannot make any.
// https://webassembly.github.io/spec/js-api/
(function (nexus) {
  "use strict";
  const { ops } = nexus;
  const { bufferSource, isArrayBuffer, isObject } = nexus.webidl;
  const { construct, ownKeys, defineProperty, getOwnPropertyDescriptor, isView, Bytes, rejected } = nexus.builtins;
  const native = nexus.nativeWebAssembly;
  const { Module: NativeModule, Memory: NativeMemory, compile, instantiate, CompileError } = native;

  const isBytes = (value) => isView(value) || isArrayBuffer(value);
  /** A copy of a module's bytes, which nobody changes any more, without shared memory in it. */
  const checked = (value, what) => {
    // A copy of a typed array runs none of the guest's code, unlike slice().
    const bytes = new Bytes(bufferSource(value, what));
    if (ops.wasmShares(bytes)) throw new CompileError(`${what}: shared memory is not supported`);
    return bytes;
  };

  const replacements = {
    __proto__: null,
    Module: function (bytes, options) {
      if (new.target === undefined) throw new TypeError("WebAssembly.Module must be invoked with 'new'");
      // V8 says what is wrong with anything else.
      return construct(NativeModule, [isBytes(bytes) ? checked(bytes, "WebAssembly.Module") : undefined, options], new.target);
    },
    Memory: function (descriptor) {
      if (new.target === undefined) throw new TypeError("WebAssembly.Memory must be invoked with 'new'");
      if (!isObject(descriptor)) return construct(NativeMemory, [descriptor], new.target);
      // Each property is read once.
      const copy = { __proto__: null };
      for (let i = 0; i < MEMORY.length; i++) {
        const value = descriptor[MEMORY[i]];
        if (value !== undefined) copy[MEMORY[i]] = value;
      }
      if (descriptor.shared) throw new TypeError("WebAssembly.Memory: shared memory is not supported");
      return construct(NativeMemory, [copy], new.target);
    },
    compile(bytes, options) {
      try {
        return compile(isBytes(bytes) ? checked(bytes, "WebAssembly.compile") : undefined, options);
      } catch (error) {
        return rejected(error);
      }
    },
    instantiate(source, imports, options) {
      try {
        return instantiate(isBytes(source) ? checked(source, "WebAssembly.instantiate") : source, imports, options);
      } catch (error) {
        return rejected(error);
      }
    },
  };
  const MEMORY = ["address", "index", "initial", "maximum", "minimum"];

  const replace = (object, key, value) => {
    defineProperty(object, key, { __proto__: null, ...getOwnPropertyDescriptor(object, key), value });
  };
  const names = ownKeys(replacements);
  for (let i = 0; i < names.length; i++) {
    const name = names[i];
    const made = replacements[name];
    const original = native[name];
    // Its name, its length, what else it has; the prototype stays the same, and leads to the new one only.
    const keys = ownKeys(original);
    for (let j = 0; j < keys.length; j++) defineProperty(made, keys[j], getOwnPropertyDescriptor(original, keys[j]));
    if (original.prototype !== undefined) replace(original.prototype, "constructor", made);
    replace(native, name, made);
  }
  nexus.define("WebAssembly", native);
})
