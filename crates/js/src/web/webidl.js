// Web IDL: conversions of arguments, and what makes a class an interface. https://webidl.spec.whatwg.org/
//
// Conversions take the name of the operation (`what`) for their messages. Interfaces are ES classes whose
// private fields are the brand: an illegal invocation throws TypeError by itself.
(function (nexus) {
  "use strict";
  const uncurryThis = Function.prototype.bind.bind(Function.prototype.call);
  const toWellFormed = uncurryThis(String.prototype.toWellFormed);
  const charCodeAt = uncurryThis(String.prototype.charCodeAt);
  const { defineProperty, getOwnPropertyDescriptor, getPrototypeOf, setPrototypeOf } = Object;
  const { ownKeys, apply, construct } = Reflect;
  const { isView } = ArrayBuffer;
  const { trunc, abs } = Math;
  const { iterator } = Symbol;
  const { POSITIVE_INFINITY } = Number;
  const Bytes = Uint8Array;
  const getter = (proto, name) => uncurryThis(getOwnPropertyDescriptor(proto, name).get);
  const TypedArray = getPrototypeOf(Bytes).prototype;
  const viewTag = getter(TypedArray, Symbol.toStringTag);
  const typedBuffer = getter(TypedArray, "buffer");
  const typedOffset = getter(TypedArray, "byteOffset");
  const typedLength = getter(TypedArray, "byteLength");
  const dataBuffer = getter(DataView.prototype, "buffer");
  const dataOffset = getter(DataView.prototype, "byteOffset");
  const dataLength = getter(DataView.prototype, "byteLength");
  const bufferLength = getter(ArrayBuffer.prototype, "byteLength");

  /** Map and Set whose methods guests cannot patch. */
  const safe = (Base) => {
    const Safe = class extends Base {};
    const keys = ownKeys(Base.prototype);
    for (let i = 0; i < keys.length; i++) {
      if (keys[i] === "constructor") continue;
      defineProperty(Safe.prototype, keys[i], getOwnPropertyDescriptor(Base.prototype, keys[i]));
    }
    setPrototypeOf(Safe.prototype, null);
    return Safe;
  };
  const SafeMap = safe(Map);
  const SafeSet = safe(Set);

  const isObject = (value) => (typeof value === "object" && value !== null) || typeof value === "function";

  /** Throws unless at least `count` arguments were given. */
  const required = (given, count, what) => {
    if (given < count) {
      throw new TypeError(`${what}: ${count} argument${count === 1 ? "" : "s"} required, but only ${given} present`);
    }
  };
  const domString = (value) => (typeof value === "string" ? value : `${value}`);
  const usvString = (value) => toWellFormed(typeof value === "string" ? value : `${value}`);
  const byteString = (value, what) => {
    const string = domString(value);
    for (let i = 0; i < string.length; i++) {
      if (charCodeAt(string, i) > 255) {
        throw new TypeError(`${what}: character ${i} of the string is above U+00FF`);
      }
    }
    return string;
  };

  /** An integer type of `bits` bits (up to 64, held in a double): wraps, or throws with `enforceRange`. */
  const integer = (value, bits, signed, what, enforceRange = false) => {
    let x = +value;
    const exact = bits === 64;
    const upper = exact ? Number.MAX_SAFE_INTEGER : signed ? 2 ** (bits - 1) - 1 : 2 ** bits - 1;
    const lower = !signed ? 0 : exact ? Number.MIN_SAFE_INTEGER : -(2 ** (bits - 1));
    if (enforceRange) {
      if (x !== x || abs(x) === POSITIVE_INFINITY) throw new TypeError(`${what}: not a finite number`);
      x = trunc(x) + 0;
      if (x < lower || x > upper) throw new TypeError(`${what}: ${x} is outside ${lower} to ${upper}`);
      return x;
    }
    if (x !== x || abs(x) === POSITIVE_INFINITY) return 0;
    x = trunc(x) + 0;
    if (x >= lower && x <= upper) return x;
    const size = 2 ** bits;
    x %= size;
    if (x < 0) x += size;
    return signed && x >= size / 2 ? x - size : x;
  };
  const unsignedLong = (value, what, enforceRange) => integer(value, 32, false, what, enforceRange);
  const long = (value, what, enforceRange) => integer(value, 32, true, what, enforceRange);

  /** A dictionary: `undefined` and `null` are the empty one. Members are read by the caller, in order. */
  const NONE = Object.freeze({ __proto__: null });
  const dictionary = (value, what) => {
    if (value === undefined || value === null) return NONE;
    if (!isObject(value)) throw new TypeError(`${what}: the options are not an object`);
    return value;
  };
  const callback = (value, what) => {
    if (typeof value !== "function") throw new TypeError(`${what} is not a function`);
    return value;
  };

  /** The bytes of an ArrayBuffer or a view as a Uint8Array on the same memory. */
  const bufferSource = (value, what) => {
    if (isView(value)) {
      return viewTag(value) === undefined
        ? new Bytes(dataBuffer(value), dataOffset(value), dataLength(value))
        : new Bytes(typedBuffer(value), typedOffset(value), typedLength(value));
    }
    if (!isArrayBuffer(value)) throw new TypeError(`${what}: not an ArrayBuffer or a view of one`);
    return new Bytes(value);
  };
  const isArrayBuffer = (value) => {
    if (typeof value !== "object" || value === null) return false;
    try {
      bufferLength(value);
      return true;
    } catch {
      return false;
    }
  };

  /** Visits what `object` gives through `method`, its iterator's. Unlike `for of`, an exception does not close that. */
  const iterate = (method, object, visit, what) => {
    const items = apply(method, object, []);
    if (!isObject(items)) throw new TypeError(`${what}: the iterator is not an object`);
    const { next } = items;
    for (;;) {
      const step = apply(next, items, []);
      if (!isObject(step)) throw new TypeError(`${what}: an iterator's result is not an object`);
      if (step.done) return;
      visit(step.value);
    }
  };
  const add = (items, item) => (items[items.length] = item);
  /** A sequence: any iterable object. `append` is for lists that ask no prototype of the guest's for setters. */
  const sequence = (value, what, convert, append = add) => {
    const method = isObject(value) ? value[iterator] : undefined;
    if (typeof method !== "function") throw new TypeError(`${what}: not iterable`);
    const items = [];
    iterate(method, value, (item) => append(items, convert ? convert(item) : item), what);
    return items;
  };

  /** A record as a flat list of keys and values; of keys that convert to the same one the last value counts. */
  const record = (value, convertKey, convertValue) => {
    const pairs = [];
    const keys = ownKeys(value);
    const seen = new SafeMap();
    for (let i = 0; i < keys.length; i++) {
      const descriptor = getOwnPropertyDescriptor(value, keys[i]);
      if (descriptor === undefined || !descriptor.enumerable) continue;
      const key = convertKey(keys[i]);
      const item = convertValue(value[keys[i]]);
      const at = seen.get(key);
      if (at !== undefined) {
        pairs[at + 1] = item;
      } else {
        seen.set(key, pairs.length);
        pairs[pairs.length] = key;
        pairs[pairs.length] = item;
      }
    }
    return pairs;
  };

  const hidden = (value) => ({ __proto__: null, value, writable: true, enumerable: false, configurable: true });

  // For the console, which shows an interface's attributes (their names and getters) and lists.
  const interfaces = (nexus.interfaces = new SafeMap());
  const pairLists = (nexus.pairLists = new SafeMap());

  /** Defines a global function; these are enumerable. */
  nexus.defineFunction = (name, value) => nexus.define(name, value, true);

  /** Makes a class an interface: enumerable members, `Symbol.toStringTag`, and (unless hidden) a global. */
  const finishInterface = (Class, { global = true, tag = Class.name } = {}) => {
    const { prototype } = Class;
    const getters = [];
    for (let holder = prototype; ; holder = Class) {
      const keys = ownKeys(holder);
      for (let i = 0; i < keys.length; i++) {
        const key = keys[i];
        if (typeof key === "symbol" || key === "constructor") continue;
        if (holder === Class && (key === "prototype" || key === "name" || key === "length")) continue;
        const { configurable, get } = getOwnPropertyDescriptor(holder, key);
        if (configurable) defineProperty(holder, key, { __proto__: null, enumerable: true });
        if (holder === prototype && get !== undefined) {
          getters[getters.length] = key;
          getters[getters.length] = get;
        }
      }
      if (holder === Class) break;
    }
    defineProperty(prototype, Symbol.toStringTag, { __proto__: null, value: tag, configurable: true });
    defineProperty(Class, "prototype", { __proto__: null, writable: false });
    interfaces.set(prototype, getters);
    // Static methods whose attributes were changed leave V8 with a dictionary of the constructor's properties, in which
    // each construction would look up the fields' initializer. What is a prototype is made fast when it is read.
    const reader = { __proto__: Class };
    for (let i = 0; i < 2; i++) reader.length;
    if (global) nexus.define(Class.name, Class);
    return Class;
  };

  /** Constants, on the interface and on its prototype. */
  const constants = (Class, values) => {
    const names = ownKeys(values);
    for (let i = 0; i < names.length; i++) {
      const descriptor = { __proto__: null, value: values[names[i]], enumerable: true };
      defineProperty(Class, names[i], descriptor);
      defineProperty(Class.prototype, names[i], descriptor);
    }
  };

  // %ArrayIteratorPrototype%'s and the async generators' parents.
  const IteratorPrototype = getPrototypeOf(getPrototypeOf([][Symbol.iterator]()));
  const AsyncIteratorPrototype = getPrototypeOf(getPrototypeOf(async function* () {}).prototype);

  /**
   * Makes a class iterable over pairs: entries, keys, values, forEach and Symbol.iterator.
   * `at(object, index)` checks the object's brand and gives `[key, value]`, or `undefined` past the end;
   * it is asked anew at each step, as a default iterator lives on while the list changes.
   */
  const pairIterable = (Class, at) => {
    const tag = `${Class.name} Iterator`;
    class PairIterator {
      #target;
      #kind;
      #index = 0;
      constructor(target, kind) {
        this.#target = target;
        this.#kind = kind;
      }
      next() {
        const pair = at(this.#target, this.#index);
        if (pair === undefined) return { value: undefined, done: true };
        this.#index++;
        const kind = this.#kind;
        return { value: kind === 2 ? pair : pair[kind], done: false };
      }
    }
    const proto = PairIterator.prototype;
    delete proto.constructor;
    setPrototypeOf(proto, IteratorPrototype);
    defineProperty(proto, "next", { __proto__: null, enumerable: true });
    defineProperty(proto, Symbol.toStringTag, { __proto__: null, value: tag, configurable: true });
    pairLists.set(Class.prototype, at);
    const make = (target, kind) => {
      at(target, 0);
      return new PairIterator(target, kind);
    };
    const methods = {
      entries() {
        return make(this, 2);
      },
      keys() {
        return make(this, 0);
      },
      values() {
        return make(this, 1);
      },
      forEach(callback) {
        at(this, 0);
        const call = nexus.webidl.callback(callback, `${Class.name}.forEach: the callback`);
        const self = arguments[1];
        for (let i = 0, pair; (pair = at(this, i)) !== undefined; i++) apply(call, self, [pair[1], pair[0], this]);
      },
    };
    for (const name of ["entries", "keys", "values", "forEach"]) {
      defineProperty(Class.prototype, name, { __proto__: null, ...hidden(methods[name]), enumerable: true });
    }
    defineProperty(Class.prototype, Symbol.iterator, hidden(methods.entries));
  };

  // Of the interfaces whose files are lazy: nothing is one before its file has run.
  nexus.isAbortSignal = nexus.isReadableStream = nexus.isWritableStream = nexus.isTransformStream = () => false;

  // Built-ins as they were before any guest could patch them, for files that are run lazily: after a patch.
  const methods = (proto, names) => {
    const uncurried = { __proto__: null };
    for (let i = 0; i < names.length; i++) uncurried[names[i]] = uncurryThis(proto[names[i]]);
    return uncurried;
  };
  nexus.builtins = {
    __proto__: null,
    defineProperty, getOwnPropertyDescriptor, getPrototypeOf, setPrototypeOf, ownKeys, apply, construct, isView, iterator,
    asyncIterator: Symbol.asyncIterator, toStringTag: Symbol.toStringTag, Symbol, Error, Promise, WeakRef, Bytes,
    isArray: Array.isArray, textOf: String, captureStackTrace: Error.captureStackTrace, stringify: JSON.stringify, parse: JSON.parse, parseInt,
    parseFloat,
    then: uncurryThis(Promise.prototype.then),
    resolved: Promise.resolve.bind(Promise),
    rejected: Promise.reject.bind(Promise),
    capability: Promise.withResolvers.bind(Promise),
    deref: uncurryThis(WeakRef.prototype.deref),
    // Not `slice`: that one asks the guest's Uint8Array what to make.
    copyBytes: (bytes) => new Bytes(bytes),
    transfer: uncurryThis(ArrayBuffer.prototype.transfer),
    detached: getter(ArrayBuffer.prototype, "detached"),
    bufferLength, viewTag, typedLength: getter(TypedArray, "length"),
    string: methods(String.prototype, [
      "slice", "replaceAll", "repeat", "includes", "indexOf", "padEnd", "charCodeAt", "toLowerCase", "valueOf",
      "codePointAt", "startsWith",
    ]),
    now: Date.now,
    regexp: methods(RegExp.prototype, ["toString", "exec"]),
    date: methods(Date.prototype, ["toISOString", "getTime"]),
    number: methods(Number.prototype, ["toString", "valueOf"]),
    boolean: methods(Boolean.prototype, ["valueOf"]),
    symbol: methods(Symbol.prototype, ["toString", "valueOf"]),
    bigint: methods(BigInt.prototype, ["valueOf"]),
    functionText: uncurryThis(Function.prototype.toString),
    sort: uncurryThis(Array.prototype.sort), decodeURIComponent,
    keys: Object.keys, hasOwn: Object.hasOwn, freeze: Object.freeze,
    isEnumerable: uncurryThis(Object.prototype.propertyIsEnumerable),
    // For structured_clone.js.
    clonable: {
      __proto__: null,
      Object, Date, RegExp, Map, Set, ArrayBuffer,
      errors: { __proto__: null, Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError },
      views: {
        __proto__: null, DataView, Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array,
        BigInt64Array, BigUint64Array, Float32Array, Float64Array,
      },
      typedBuffer, typedOffset, typedBytes: typedLength, dataBuffer, dataOffset, dataBytes: dataLength,
      typedEntries: uncurryThis(TypedArray.entries),
      isResizable: getter(ArrayBuffer.prototype, "resizable"),
      maxLength: getter(ArrayBuffer.prototype, "maxByteLength"),
      setBytes: uncurryThis(Bytes.prototype.set),
      mapSet: uncurryThis(Map.prototype.set),
      setAdd: uncurryThis(Set.prototype.add),
      source: getter(RegExp.prototype, "source"),
      flags: [
        ["d", "hasIndices"], ["g", "global"], ["i", "ignoreCase"], ["m", "multiline"], ["s", "dotAll"], ["u", "unicode"],
        ["v", "unicodeSets"], ["y", "sticky"],
      ].map(([letter, name]) => ({ __proto__: null, letter, get: getter(RegExp.prototype, name) })),
    },
  };

  nexus.webidl = {
    required, domString, usvString, byteString, integer, unsignedLong, long, dictionary, callback, bufferSource,
    isArrayBuffer, isObject, iterate, sequence, record, finishInterface, constants, pairIterable, hidden, uncurryThis, getter,
    AsyncIteratorPrototype, SafeMap, SafeSet,
    illegalConstructor: () => new TypeError("Illegal constructor"),
  };
})
