// WebAssembly, as V8 has it, but for three things. Guests have no memory that threads share, and cannot make any.
// Modules are compiled, as far as they are before they run, within the turn that asks: on its account, where V8's own
// threads would do it on nobody's. And what V8 holds for modules is counted.
// https://webassembly.github.io/spec/js-api/
(function (nexus) {
  "use strict";
  const { ops } = nexus;
  const { bufferSource, isArrayBuffer, isObject } = nexus.webidl;
  const { construct, ownKeys, defineProperty, getOwnPropertyDescriptor, isView, Bytes, resolved, rejected } = nexus.builtins;
  const native = nexus.nativeWebAssembly;
  const { Module: NativeModule, Memory: NativeMemory, Instance: NativeInstance, Tag: NativeTag } = native;
  const { CompileError, validate: nativeValidate } = native;

  const isBytes = (value) => isView(value) || isArrayBuffer(value);
  const refuse = (reason, what) => {
    if (reason !== undefined) throw new CompileError(`${what}: ${reason}`);
  };

  const compiled = (source, options, what, target) => {
    // V8 says what is wrong with anything but bytes.
    if (!isBytes(source)) return construct(NativeModule, [undefined, options], target);
    // A copy, which nobody changes any more. That of a typed array runs none of the guest's code, unlike slice().
    const bytes = new Bytes(bufferSource(source, what));
    refuse(ops.wasmRefuses(bytes), what);
    const module = construct(NativeModule, [bytes, options], target);
    // The options may have run the guest's code, which may have compiled others.
    refuse(ops.wasmHold(module, bytes), what);
    return module;
  };
  /** The most parameters of a tag. */
  const MOST = 1000;
  const replacements = {
    __proto__: null,
    validate(source, options) {
      if (!isBytes(source)) return nativeValidate(source);
      const bytes = new Bytes(bufferSource(source, "WebAssembly.validate"));
      return ops.wasmRefuses(bytes) === undefined && nativeValidate(bytes, options);
    },
    // Each tag may be another type to V8.
    Tag: function (type) {
      if (new.target === undefined) throw new TypeError("WebAssembly.Tag must be invoked with 'new'");
      if (!isObject(type)) return construct(NativeTag, [type], new.target);
      const { parameters } = type;
      if (!isObject(parameters)) return construct(NativeTag, [{ __proto__: null, parameters }], new.target);
      const length = +parameters.length;
      if (!(length <= MOST)) throw new TypeError("WebAssembly.Tag: too many parameters");
      const copy = { __proto__: null, length };
      let text = "";
      for (let i = 0; i < length; i++) {
        copy[i] = `${parameters[i]}`;
        text += `${copy[i]} `;
      }
      refuse(ops.wasmRefusesTag(text), "WebAssembly.Tag");
      return construct(NativeTag, [{ __proto__: null, parameters: copy }], new.target);
    },
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
  // What V8 counts nowhere: the stack of a call that is suspended, and what a memory grows by through its own buffer.
  const absent = ["promising", "Suspending", "SuspendError"];
  for (let i = 0; i < absent.length; i++) delete native[absent[i]];
  delete NativeMemory.prototype.toResizableBuffer;
  delete NativeMemory.prototype.toFixedLengthBuffer;
  // For files that are imported and cannot be compiled.
  nexus.compileError = (message) => new CompileError(message);
  // An import may be what has this file run: what the guest itself has put there stays.
  if (getOwnPropertyDescriptor(globalThis, "WebAssembly")?.get !== undefined) nexus.define("WebAssembly", native);
})
