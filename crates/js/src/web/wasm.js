// WebAssembly, as V8 has it, but for two things. Guests have no memory that threads share, and cannot make any. And
// modules are compiled, as far as they are before they run, within the turn that asks: on its account, where V8's own
// threads would do it on nobody's.
// https://webassembly.github.io/spec/js-api/
(function (nexus) {
  "use strict";
  const { ops } = nexus;
  const { bufferSource, isArrayBuffer, isObject } = nexus.webidl;
  const { construct, ownKeys, defineProperty, getOwnPropertyDescriptor, isView, Bytes, resolved, rejected } = nexus.builtins;
  const native = nexus.nativeWebAssembly;
  const { Module: NativeModule, Memory: NativeMemory, Instance: NativeInstance, CompileError } = native;

  const isBytes = (value) => isView(value) || isArrayBuffer(value);
  /** A copy of a module's bytes, which nobody changes any more, without shared memory in it. */
  const checked = (value, what) => {
    // A copy of a typed array runs none of the guest's code, unlike slice().
    const bytes = new Bytes(bufferSource(value, what));
    if (ops.wasmShares(bytes)) throw new CompileError(`${what}: shared memory is not supported`);
    return bytes;
  };

  const compiled = (bytes, options, what, target) => {
    // V8 says what is wrong with anything but bytes.
    return construct(NativeModule, [isBytes(bytes) ? checked(bytes, what) : undefined, options], target);
  };
  const replacements = {
    __proto__: null,
    Module: function (bytes, options) {
      if (new.target === undefined) throw new TypeError("WebAssembly.Module must be invoked with 'new'");
      return compiled(bytes, options, "WebAssembly.Module", new.target);
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
        return resolved(compiled(bytes, options, "WebAssembly.compile", NativeModule));
      } catch (error) {
        return rejected(error);
      }
    },
    instantiate(source, imports, options) {
      try {
        if (!isBytes(source)) return resolved(construct(NativeInstance, [source, imports]));
        const module = compiled(source, options, "WebAssembly.instantiate", NativeModule);
        return resolved({ module, instance: construct(NativeInstance, [module, imports]) });
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
