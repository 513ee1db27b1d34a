// structuredClone. https://html.spec.whatwg.org/multipage/structured-data.html#safe-passing-of-structured-data
//
// From object to object, without a serialisation between: that would be memory of the host's, and a string that is
// found a million times would be in it as often. What remains to be done is in frames, not on the stack: a list may be
// as deep as it is long.
(function (nexus) {
  "use strict";
  const { ops } = nexus;
  const { required, dictionary, sequence, isArrayBuffer, isObject, domString, SafeMap } = nexus.webidl;
  const {
    defineProperty, getOwnPropertyDescriptor, getPrototypeOf, setPrototypeOf, keys, hasOwn, isView, viewTag, apply,
    construct, transfer, Bytes, clonable, date, string, number, boolean, bigint, symbol, bufferLength, detached,
  } = nexus.builtins;
  const {
    typedBuffer, typedOffset, typedBytes, typedEntries, dataBuffer, dataOffset, dataBytes, isResizable, maxLength,
    setBytes, mapSet, setAdd,
  } = clonable;
  const stackGetter = getOwnPropertyDescriptor(new clonable.errors.Error(), "stack")?.get;
  const objectPrototype = getPrototypeOf({});
  const arrayPrototype = getPrototypeOf([]);
  const fail = (message) => new nexus.DOMException(message, "DataCloneError");

  // What `ops.cloneKind` says.
  const OTHER = 0, ARRAY = 1, NAMED_ARRAY = 2, MAP = 3, SET = 4, DATE = 5, REGEXP = 6, ERROR = 7, BUFFER = 9;
  const BOXED = 10, ARGUMENTS = 11;
  const unbox = [number.valueOf, string.valueOf, boolean.valueOf, bigint.valueOf];

  const define = (object, key, value, enumerable = true) => {
    defineProperty(object, key, { __proto__: null, value, writable: true, enumerable, configurable: true });
  };
  // An assignment is much faster; but what guests put into the prototypes must not hear of it.
  const put = (object, key, value, proto) => {
    if (key in proto) define(object, key, value);
    else object[key] = value;
  };
  /** Whether it is more than a value that stands for itself. */
  const isDeep = (value) =>
    // V8 knows each of these comparisons by itself, and has to make the name for a variable.
    typeof value === "object" ? value !== null : typeof value === "function" || typeof value === "symbol";

  // A job has `seen`, from the original to its clone, and `top`, the frame of the object that is being filled. Of
  // views, `views` has what they show: their buffers may be moved before the views are made anew.
  // `plain` has, by its first key, the last plain object that is done: the next one probably has the same keys.
  class Job {
    constructor(seen, views) {
      this.seen = seen;
      this.views = views;
      this.top = null;
      this.plain = new SafeMap();
    }
  }
  class Frame {
    constructor(next, step, source, copy, list, inherits) {
      this.next = next;
      this.step = step;
      this.source = source;
      this.copy = copy;
      this.list = list;
      this.i = 0;
      // What the copy inherits from, where that matters.
      this.inherits = inherits;
      // Of a map, the key whose value is not there yet; of an array, how many holes there were, of a plain object, how many
      // properties that others of its kind may not have so.
      this.key = NONE;
      this.holes = 0;
    }
  }
  // Setters that a guest puts into Object.prototype are not for them.
  setPrototypeOf(Job.prototype, null);
  setPrototypeOf(Frame.prototype, null);
  const NONE = { __proto__: null };
  const run = (value, seen, views) => {
    const job = new Job(seen, views);
    const copy = begin(job, value);
    while (job.top !== null) {
      const { step } = job.top;
      step(job, job.top);
    }
    return copy;
  };
  const push = (job, step, source, copy, list, inherits) => {
    job.top = new Frame(job.top, step, source, copy, list, inherits);
  };

  /** The clone of a value; if it is an object, its content may follow from a frame. */
  const begin = (job, value) => {
    if (typeof value !== "object" || value === null) {
      if (typeof value === "symbol") throw fail(`${symbol.toString(value)} cannot be cloned`);
      if (typeof value === "function") throw fail("a function cannot be cloned");
      return value;
    }
    const { seen } = job;
    const known = seen.get(value);
    if (known !== undefined) return known;
    const copy = isView(value) ? copyView(job, value) : copyOf(job, value, ops.cloneKind(value));
    seen.set(value, copy);
    return copy;
  };

  const copyOf = (job, value, kind) => {
    let copy;
    switch (kind) {
      case OTHER:
        if (getPrototypeOf(value) === objectPrototype) {
          return copyPlain(job, value, keys(value));
        }
        if (value !== objectPrototype) {
          if (nexus.isBlob?.(value)) return nexus.cloneBlob(value);
          if (nexus.isCryptoKey?.(value)) return nexus.cloneKey(value);
          if (isPlatformObject(value)) throw fail("an object of this interface cannot be cloned");
          if (!ops.isPlainObject(value)) break;
        }
      // falls through
      case ARGUMENTS:
        push(job, fillNamed, value, (copy = {}), keys(value), objectPrototype);
        return copy;
      case ARRAY:
        if (getPrototypeOf(value) === arrayPrototype) {
          push(job, fillDense, value, (copy = []), value.length, null);
          return copy;
        }
      // falls through
      case NAMED_ARRAY:
        copy = [];
        copy.length = value.length;
        push(job, fillNamed, value, copy, keys(value), arrayPrototype);
        return copy;
      case MAP:
        // Natively, as they are now: a getter may change them meanwhile. Likewise below.
        push(job, fillMap, value, (copy = new clonable.Map()), ops.previewEntries(value), null);
        return copy;
      case SET:
        push(job, fillSet, value, (copy = new clonable.Set()), ops.previewEntries(value), null);
        return copy;
      case DATE:
        return new clonable.Date(date.getTime(value));
      case REGEXP:
        return new clonable.RegExp(clonable.source(value), flags(value));
      case BOXED:
        return box(value);
      case BUFFER:
        return copyBuffer(value);
      case ERROR:
        return nexus.isDOMException?.(value) ? withStack(nexus.cloneDOMException(value), value) : copyError(job, value);
    }
    throw fail("an object of this kind cannot be cloned");
  };

  /** Whether it is an object of one of our interfaces: none is cloned but those that say how. */
  const isPlatformObject = (value) => {
    let proto = getPrototypeOf(value);
    while (proto !== null && proto !== objectPrototype) {
      if (nexus.interfaces.has(proto)) return true;
      // What a proxy hides is none of ours.
      if (ops.cloneKind(proto) === REFUSED) return false;
      proto = getPrototypeOf(proto);
    }
    return false;
  };
  const REFUSED = 12;

  const copyPlain = (job, value, list) => {
    const { length } = list;
    const like = job.plain.get(list[0]);
    let i = 0;
    if (like !== undefined && like.list.length === length) while (i < length && list[i] === like.list[i]) i++;
    // As it will be, so that its properties need not be added one after the other.
    const copy = i === length && i > 0 ? { ...like.copy } : {};
    push(job, i === length ? fillAgain : fillPlain, value, copy, list, null);
    return copy;
  };

  // The steps: each fills its object, and stops for the content of an object within.
  // Of an object that inherits from Object.prototype: what is not in that is its own.
  const fillPlain = (job, frame) => {
    const { source, copy, list } = frame;
    const { length } = list;
    while (frame.i < length) {
      const key = list[frame.i++];
      if (key in objectPrototype) {
        frame.holes++;
        if (!hasOwn(source, key)) continue;
        define(copy, key, begin(job, source[key]));
      } else {
        const value = source[key];
        if (!isDeep(value)) {
          // An earlier getter may have removed it.
          if (value !== undefined || hasOwn(source, key)) copy[key] = value;
          else frame.holes++;
          continue;
        }
        put(copy, key, begin(job, value), objectPrototype);
      }
      if (job.top !== frame) return;
    }
    job.top = frame.next;
    if (frame.holes === 0) job.plain.set(list[0], frame);
  };
  // The same where the copy has all properties, with another's values.
  const fillAgain = (job, frame) => {
    const { source, copy, list } = frame;
    const { length } = list;
    while (frame.i < length) {
      const key = list[frame.i++];
      const value = source[key];
      if (!isDeep(value)) {
        if (value !== undefined || hasOwn(source, key)) copy[key] = value;
        else delete copy[key];
        continue;
      }
      copy[key] = begin(job, value);
      if (job.top !== frame) return;
    }
    job.top = frame.next;
  };
  const fillNamed = (job, frame) => {
    const { source, copy, list, inherits } = frame;
    const { length } = list;
    while (frame.i < length) {
      const key = list[frame.i++];
      if (!hasOwn(source, key)) continue;
      put(copy, key, begin(job, source[key]), inherits);
      if (job.top !== frame) return;
    }
    job.top = frame.next;
  };

  // Of an array that has only elements, in the range that is most often full.
  const fillDense = (job, frame) => {
    const { source, copy, list: length } = frame;
    while (frame.i < length) {
      const i = frame.i++;
      const value = source[i];
      if ((value === undefined || i in arrayPrototype) && !hasOwn(source, i)) {
        if (++frame.holes > 1024 && frame.holes > i >> 1) {
          spread(job, frame);
          return;
        }
        continue;
      }
      if (isDeep(value)) {
        put(copy, i, begin(job, value), arrayPrototype);
        if (job.top !== frame) return;
      } else {
        put(copy, i, value, arrayPrototype);
      }
    }
    if (copy.length !== length) copy.length = length;
    job.top = frame.next;
  };
  // It is mostly holes: the rest goes by the keys.
  const spread = (job, frame) => {
    const { source, copy, i } = frame;
    copy.length = frame.list;
    const names = keys(source);
    let from = 0;
    while (from < names.length && +names[from] < i) from++;
    job.top = frame.next;
    push(job, fillNamed, source, copy, names, arrayPrototype);
    job.top.i = from;
  };

  const fillMap = (job, frame) => {
    const { copy, list } = frame;
    const { length } = list;
    while (frame.i < length) {
      if (frame.key === NONE) {
        frame.key = begin(job, list[frame.i++]);
        if (job.top !== frame) return;
      }
      const { key } = frame;
      frame.key = NONE;
      mapSet(copy, key, begin(job, list[frame.i++]));
      if (job.top !== frame) return;
    }
    job.top = frame.next;
  };
  const fillSet = (job, frame) => {
    const { copy, list } = frame;
    const { length } = list;
    while (frame.i < length) {
      setAdd(copy, begin(job, list[frame.i++]));
      if (job.top !== frame) return;
    }
    job.top = frame.next;
  };

  const flags = (value) => {
    let out = "";
    for (let i = 0; i < clonable.flags.length; i++) if (clonable.flags[i].get(value)) out += clonable.flags[i].letter;
    return out;
  };

  const box = (value) => {
    for (let i = 0; i < unbox.length; i++) {
      let primitive;
      try {
        primitive = unbox[i](value);
      } catch {
        // Not a box of this type: the next.
        continue;
      }
      return clonable.Object(primitive);
    }
    throw fail("a symbol's object cannot be cloned");
  };

  const copyBuffer = (buffer) => {
    if (detached(buffer)) throw fail("an ArrayBuffer is detached");
    const length = bufferLength(buffer);
    const copy = isResizable(buffer)
      ? new clonable.ArrayBuffer(length, { __proto__: null, maxByteLength: maxLength(buffer) })
      : new clonable.ArrayBuffer(length);
    setBytes(new Bytes(copy), new Bytes(buffer));
    return copy;
  };

  const shown = (tag, buffer, offset, bytes) => ({ tag, buffer, offset, bytes });
  /** What a view shows; of one whose buffer became too short, nothing. */
  const show = (view) => {
    const tag = viewTag(view);
    try {
      if (tag === undefined) return shown("DataView", dataBuffer(view), dataOffset(view), dataBytes(view));
      // It throws for such a view, whose attributes are 0.
      if (typedBytes(view) === 0) typedEntries(view);
      return shown(tag, typedBuffer(view), typedOffset(view), typedBytes(view));
    } catch {
      throw fail("a view is outside of its buffer, or that is detached");
    }
  };
  const copyView = (job, view) => {
    const { tag, buffer, offset, bytes } = job.views.get(view) ?? show(view);
    const copied = begin(job, buffer);
    const View = clonable.views[tag];
    // One that reaches to the end of a buffer that can grow grows with it.
    const rest = isResizable(copied) && offset + bytes === bufferLength(copied);
    const length = rest ? undefined : tag === "DataView" ? bytes : bytes / View.BYTES_PER_ELEMENT;
    const copy = construct(View, [copied, offset, length]);
    job.views.set(copy, shown(tag, copied, offset, bytes));
    return copy;
  };

  const withStack = (copy, value) => {
    const held = getOwnPropertyDescriptor(value, "stack");
    if (held === undefined) return copy;
    let stack;
    if (hasOwn(held, "value")) stack = held.value;
    else if (held.get === stackGetter) stack = apply(stackGetter, value, []);
    if (typeof stack === "string") define(copy, "stack", stack, false);
    return copy;
  };
  const copyError = (job, value) => {
    const { name } = value;
    const message = getOwnPropertyDescriptor(value, "message");
    const Class = (typeof name === "string" && clonable.errors[name]) || clonable.errors.Error;
    // Errors have what they were made with, and nothing else is cloned.
    const text = message !== undefined && hasOwn(message, "value") ? domString(message.value) : undefined;
    const copy = new Class();
    if (text !== undefined) define(copy, "message", text, false);
    withStack(copy, value);
    if (hasOwn(value, "cause")) push(job, fillCause, value, copy, null, null);
    return copy;
  };
  const fillCause = (job, frame) => {
    job.top = frame.next;
    define(frame.copy, "cause", begin(job, frame.source.cause), false);
  };

  // Besides buffers, what can be transferred: how to tell it, take it away, and make it anew. Nothing is one before its
  // file has run.
  const TRANSFERABLE = [
    { is: "isMessagePort", take: "transferPort", make: "receivePort" },
    { is: "isReadableStream", take: "transferReadable", make: "receiveReadable" },
    { is: "isWritableStream", take: "transferWritable", make: "receiveWritable" },
    { is: "isTransformStream", take: "transferTransform", make: "receiveTransform" },
  ];
  const transferableOf = (value) => {
    for (let i = 0; i < TRANSFERABLE.length; i++) {
      const kind = TRANSFERABLE[i];
      if (nexus[kind.is]?.(value) && nexus[kind.take] !== undefined) return kind;
    }
    return undefined;
  };

  /** The clone, and with `moved` given what the elements of `list` became, in order. */
  const cloneAndMove = (value, list, moved) => {
    const { length } = list;
    if (length === 0) return isDeep(value) ? run(value, new SafeMap(), new SafeMap()) : value;
    const seen = new SafeMap();
    const views = new SafeMap();
    const kinds = [];
    for (let i = 0; i < length; i++) {
      const item = list[i];
      kinds[i] = isArrayBuffer(item) ? null : transferableOf(item);
      if (kinds[i] === undefined) throw fail("an object in the list cannot be transferred");
      if (seen.has(item)) throw fail("an object is in the list of those to be transferred twice");
      // It stands for itself in the first clone.
      seen.set(item, item);
    }
    const copy = run(value, seen, views);
    // Cloning went well: they move, and a clone of the clone, which has no code of the guest's in it, gets them.
    const taken = new SafeMap();
    for (let i = 0; i < length; i++) {
      const item = list[i];
      let made;
      if (kinds[i] === null) {
        if (detached(item)) throw fail("an ArrayBuffer is detached already");
        // A TypeError if it cannot be, as a WebAssembly.Memory's.
        made = transfer(item);
      } else {
        made = nexus[kinds[i].make](nexus[kinds[i].take](item));
      }
      taken.set(item, made);
      if (moved !== undefined) moved[i] = made;
    }
    return run(copy, taken, views);
  };
  nexus.structuredCloneInternal = cloneAndMove;

  const { structuredClone } = {
    structuredClone(value, options = undefined) {
      nexus.checkGlobal(this);
      required(arguments.length, 1, "structuredClone");
      const given = dictionary(options, "structuredClone").transfer;
      const object = (item) => {
        if (!isObject(item)) throw new TypeError("structuredClone: an element of transfer is not an object");
        return item;
      };
      const list = given === undefined ? [] : sequence(given, "structuredClone: transfer", object);
      return cloneAndMove(value, list, undefined);
    },
  };
  nexus.defineFunction("structuredClone", structuredClone);
})
