// WebAssembly, as V8 has it, but for four things. Guests have no memory that threads share, and cannot make any.
// Modules are compiled, as far as they are before they run, within the turn that asks: on its account, where V8's own
// threads would do it on nobody's. What V8 holds and does not count is counted: modules, memories that grow in place,
// the stacks of calls that wait. And arguments are converted as the standard has it, where V8 is more generous.
// https://webassembly.github.io/spec/js-api/, https://webassembly.github.io/spec/web-api/
(function (nexus) {
  "use strict";
  const { ops } = nexus;
  const {
    required, dictionary, isArrayBuffer, isObject, sequence, usvString, domString, hidden, uncurryThis, getter, SafeSet,
  } = nexus.webidl;
  const {
    construct, ownKeys, defineProperty, getOwnPropertyDescriptor, getPrototypeOf, setPrototypeOf, isView, Bytes, resolved,
    rejected, detached, viewTag, regexp, toStringTag, captureStackTrace, hasOwn, apply,
  } = nexus.builtins;
  const { typedBuffer, typedOffset, typedBytes, dataBuffer, dataOffset, dataBytes } = nexus.builtins.clonable;
  const native = nexus.nativeWebAssembly;
  const { Module: NativeModule, Memory: NativeMemory, Instance: NativeInstance, Tag: NativeTag } = native;
  const { Exception: NativeException, Global: NativeGlobal, JSTag } = native;
  const { CompileError, validate: nativeValidate, promising: nativePromising } = native;

  const isBytes = (value) => isView(value) || isArrayBuffer(value);
  const bytesRequired = (value, what) => {
    if (!isBytes(value)) throw new TypeError(`${what}: not an ArrayBuffer or a view of one`);
  };
  const refuse = (reason, what) => {
    if (reason !== undefined) throw new CompileError(`${what}: ${reason}`);
  };

  /** A copy, which nobody changes any more. Making it runs none of the guest's code. What is detached has no bytes. */
  const copyOf = (source) => {
    let buffer = source;
    let offset = 0;
    let length;
    if (isView(source)) {
      const typed = viewTag(source) !== undefined;
      buffer = typed ? typedBuffer(source) : dataBuffer(source);
      if (detached(buffer)) return new Bytes(0);
      // Of a typed array whose buffer has become too small both are 0; of a DataView they throw.
      offset = typed ? typedOffset(source) : dataOffset(source);
      length = typed ? typedBytes(source) : dataBytes(source);
    }
    return detached(buffer) ? new Bytes(0) : new Bytes(new Bytes(buffer, offset, length));
  };

  /** WebAssemblyCompileOptions; each of its members is read once. */
  const compileOptions = (options, what) => {
    const given = dictionary(options, `${what}: the options`);
    const converted = { __proto__: null };
    const { builtins } = given;
    if (builtins !== undefined) converted.builtins = sequence(builtins, `${what}: builtins`, usvString);
    const { importedStringConstants } = given;
    if (importedStringConstants !== undefined && importedStringConstants !== null) {
      converted.importedStringConstants = usvString(importedStringConstants);
    }
    return converted;
  };
  const importsChecked = (imports, what) => {
    if (imports !== undefined && !isObject(imports)) throw new TypeError(`${what}: the imports are not an object`);
  };

  /** Sets of builtins are named once; V8 does not look. */
  const namesTwice = ({ builtins }) => {
    if (builtins === undefined) return false;
    const seen = new SafeSet();
    for (let i = 0; i < builtins.length; i++) seen.add(builtins[i]);
    return seen.size < builtins.length;
  };
  const compileBytes = (bytes, options, what, target) => {
    if (namesTwice(options)) refuse("a set of builtins is named twice", what);
    refuse(ops.wasmRefuses(bytes), what);
    const module = construct(NativeModule, [bytes, options], target);
    // Reading the target's prototype may have run the guest's code, which may have compiled others. And V8 has said by
    // now what else may be wrong with the module, which nobody has seen so far.
    refuse(ops.wasmHold(module, bytes), what);
    return module;
  };
  const compiled = (source, options, what, target) => {
    bytesRequired(source, what);
    const converted = compileOptions(options, what);
    return compileBytes(copyOf(source), converted, what, target);
  };
  /** An instance of what was just compiled: the imports are read later, as if it had been compiled meanwhile. */
  const instantiated = async (module, imports) => {
    await undefined;
    return { instance: construct(NativeInstance, [module, imports]), module };
  };

  /** Compiles what a response, or a promise of one, brings along. */
  const compiledResponse = async (source, options, what) => {
    const response = await source;
    if (!nexus.isResponse(response)) throw new TypeError(`${what}: not a Response or a promise of one`);
    const list = nexus.responseHeaders(response);
    let type;
    for (let i = 0; i < list.length; i += 2) {
      if (list[i] === "content-type") type = type === undefined ? list[i + 1] : `${type}, ${list[i + 1]}`;
    }
    if (type === undefined || regexp.exec(WASM, type) === null) {
      throw new TypeError(`${what}: the response's Content-Type is not application/wasm`);
    }
    const status = nexus.responseStatus(response);
    if (status < 200 || status > 299) throw new TypeError(`${what}: the response's status is ${status}`);
    const bytes = await nexus.body.consume(nexus.responseBody(response), nexus.body.BYTE_ARRAY, what);
    // Nobody else has them.
    return compileBytes(bytes, options, what, NativeModule);
  };
  const WASM = /^[\t ]*application\/wasm[\t ]*$/i;

  const isException = uncurryThis(NativeException.prototype.is);
  let some;
  /** Throws if a value is no tag, as a method of exceptions does. */
  const tagRequired = (value, what) => {
    some ??= construct(NativeException, [construct(NativeTag, [{ __proto__: null, parameters: [] }]), []]);
    try {
      isException(some, value);
    } catch {
      throw new TypeError(`${what}: not a WebAssembly.Tag`);
    }
  };

  /** The most parameters of a tag. */
  const MOST = 1000;
  const replacements = {
    __proto__: null,
    validate(source, options = undefined) {
      const what = "WebAssembly.validate";
      required(arguments.length, 1, what);
      bytesRequired(source, what);
      const converted = compileOptions(options, what);
      const bytes = copyOf(source);
      if (namesTwice(converted) || ops.wasmRefuses(bytes) !== undefined) return false;
      return nativeValidate(bytes, converted) && !ops.wasmUnfit(bytes);
    },
    // Each tag may be another type to V8.
    Tag: function (type) {
      const what = "WebAssembly.Tag";
      if (new.target === undefined) throw new TypeError(`${what} must be invoked with 'new'`);
      required(arguments.length, 1, what);
      const { parameters } = dictionary(type, `${what}: the type`);
      const list = sequence(parameters, `${what}: the parameters`, domString);
      if (list.length > MOST) throw new TypeError(`${what}: too many parameters`);
      let text = "";
      for (let i = 0; i < list.length; i++) text += `${list[i]} `;
      refuse(ops.wasmRefusesTag(text), what);
      return construct(NativeTag, [{ __proto__: null, parameters: list }], new.target);
    },
    Exception: function (exceptionTag, payload, options = undefined) {
      const what = "WebAssembly.Exception";
      if (new.target === undefined) throw new TypeError(`${what} must be invoked with 'new'`);
      required(arguments.length, 2, what);
      tagRequired(exceptionTag, what);
      const values = sequence(payload, `${what}: the payload`);
      const traced = !!dictionary(options, `${what}: the options`).traceStack;
      const made = construct(NativeException, [exceptionTag, values], new.target);
      if (traced) captureStackTrace(made, replacements.Exception);
      return made;
    },
    Module: function (bytes, options) {
      if (new.target === undefined) throw new TypeError("WebAssembly.Module must be invoked with 'new'");
      return compiled(bytes, options, "WebAssembly.Module", new.target);
    },
    Memory: function (descriptor) {
      if (new.target === undefined) throw new TypeError("WebAssembly.Memory must be invoked with 'new'");
      if (!isObject(descriptor)) return construct(NativeMemory, [descriptor], new.target);
      // V8 reads and converts one after the other, as the standard has it.
      const looked = {
        __proto__: null,
        get address() {
          return descriptor.address;
        },
        get index() {
          return descriptor.index;
        },
        get initial() {
          return descriptor.initial;
        },
        get minimum() {
          return descriptor.minimum;
        },
        get maximum() {
          return descriptor.maximum;
        },
        get shared() {
          if (descriptor.shared) throw new TypeError("WebAssembly.Memory: shared memory is not supported");
          return false;
        },
      };
      return construct(NativeMemory, [looked], new.target);
    },
    // Each call that is suspended has a stack of its own.
    promising(f) {
      const made = nativePromising(f);
      const call = (...args) => {
        const reason = ops.wasmRefusesCall();
        if (reason !== undefined) return rejected(new RangeError(reason));
        const promise = apply(made, undefined, args);
        ops.wasmSuspends(promise);
        return promise;
      };
      defineProperty(call, "name", described(made, "name"));
      defineProperty(call, "length", described(made, "length"));
      return call;
    },
    compile(bytes, options) {
      try {
        return resolved(compiled(bytes, options, "WebAssembly.compile", NativeModule));
      } catch (error) {
        return rejected(error);
      }
    },
    instantiate(source, imports, options) {
      const what = "WebAssembly.instantiate";
      try {
        if (!isBytes(source)) return resolved(construct(NativeInstance, [source, imports]));
        importsChecked(imports, what);
        return instantiated(compiled(source, options, what, NativeModule), imports);
      } catch (error) {
        return rejected(error);
      }
    },
  };
  // V8 has these only if it streams by itself, off the turn.
  const additions = {
    __proto__: null,
    async compileStreaming(source, options = undefined) {
      const what = "WebAssembly.compileStreaming";
      required(arguments.length, 1, what);
      const promise = resolved(source);
      return await compiledResponse(promise, compileOptions(options, what), what);
    },
    async instantiateStreaming(source, imports = undefined, options = undefined) {
      const what = "WebAssembly.instantiateStreaming";
      required(arguments.length, 1, what);
      const promise = resolved(source);
      importsChecked(imports, what);
      const module = await compiledResponse(promise, compileOptions(options, what), what);
      return await instantiated(module, imports);
    },
  };

  /** How a property is defined, safe from what guests may have added to `Object.prototype`. */
  const described = (object, key) => ({ __proto__: null, ...getOwnPropertyDescriptor(object, key) });

  // What guests find: V8's own object has properties that stay as they are.
  const namespace = {};
  defineProperty(namespace, toStringTag, { __proto__: null, value: "WebAssembly", configurable: true });
  const globalValue = described(NativeGlobal.prototype, "value");
  const accessors = {
    // V8 refuses to be called without an argument.
    set value(value) {
      apply(globalValue.set, this, [value]);
    },
    get JSTag() {
      return JSTag;
    },
    get stack() {
      isException(this, JSTag);
      const own = getOwnPropertyDescriptor(this, "stack");
      if (own === undefined) return undefined;
      return hasOwn(own, "value") ? own.value : apply(own.get, this, []);
    },
  };
  for (let names = ownKeys(native), i = 0; i < names.length; i++) {
    const name = names[i];
    if (name === toStringTag || name === "JSTag") continue;
    const original = native[name];
    const made = replacements[name] ?? original;
    if (made !== original) {
      // Its name, its length, what else it has; the prototype stays the same, and leads to the new one only.
      const keys = ownKeys(original);
      for (let j = 0; j < keys.length; j++) defineProperty(made, keys[j], described(original, keys[j]));
      setPrototypeOf(made, getPrototypeOf(original));
      if (original.prototype !== undefined) defineProperty(original.prototype, "constructor", hidden(made));
    }
    const { enumerable } = getOwnPropertyDescriptor(native, name);
    defineProperty(namespace, name, { __proto__: null, ...hidden(made), enumerable });
  }
  for (let names = ownKeys(additions), i = 0; i < names.length; i++) {
    defineProperty(namespace, names[i], { __proto__: null, ...hidden(additions[names[i]]), enumerable: true });
  }
  // V8 does not count what such a buffer grows by.
  const bufferOf = getter(NativeMemory.prototype, "buffer");
  const resizable = uncurryThis(NativeMemory.prototype.toResizableBuffer);
  const { toResizableBuffer } = {
    toResizableBuffer() {
      const before = bufferOf(this);
      const buffer = resizable(this);
      if (buffer !== before) ops.wasmGrows(buffer);
      return buffer;
    },
  };
  defineProperty(NativeMemory.prototype, "toResizableBuffer", { __proto__: null, value: toResizableBuffer });
  const { set } = described(accessors, "value");
  defineProperty(NativeGlobal.prototype, "value", { __proto__: null, ...globalValue, set });
  defineProperty(namespace, "JSTag", described(accessors, "JSTag"));
  // V8 gives it one argument, and the stack, if there is one, to each exception itself.
  defineProperty(namespace.Exception, "length", { __proto__: null, value: 2 });
  defineProperty(NativeException.prototype, "stack", described(accessors, "stack"));
  // For files that are imported and cannot be compiled.
  nexus.compileError = (message) => new CompileError(message);
  nexus.define("WebAssembly", namespace);
})
