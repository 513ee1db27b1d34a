// structuredClone. https://html.spec.whatwg.org/multipage/structured-data.html#dom-structuredclone
//
// From object to object, without a serialisation between: that would be memory of the host's, and a string that is
// found a million times would be in it as often.
(function (nexus) {
  "use strict";
  const { ops } = nexus;
  const { required, dictionary, sequence, isArrayBuffer, isObject, domString, SafeMap } = nexus.webidl;
  const {
    defineProperty, getOwnPropertyDescriptor, keys, isEnumerable, isView, viewTag, apply, construct, transfer, Bytes, clonable, date,
    string, number, boolean, bigint, symbol, bufferLength, detached,
  } = nexus.builtins;
  const {
    typedBuffer, typedOffset, typedBytes, dataBuffer, dataOffset, dataBytes, isResizable, maxLength, setBytes, mapSet, setAdd,
  } = clonable;
  const stackGetter = getOwnPropertyDescriptor(new clonable.errors.Error(), "stack")?.get;
  const fail = (message) => new nexus.DOMException(message, "DataCloneError");

  // What `ops.valueKind` says.
  const ARRAY = 1, MAP = 2, SET = 3, DATE = 4, REGEXP = 5, ERROR = 6, TYPED = 9, BUFFER = 10, BOXED = 14, ARGUMENTS = 17;
  const OTHER = 0;
  const unbox = [number.valueOf, string.valueOf, boolean.valueOf, bigint.valueOf];

  const define = (object, key, value, enumerable = true) => {
    defineProperty(object, key, { __proto__: null, value, writable: true, enumerable, configurable: true });
  };

  // What is cloned so far: `seen` from the original to its clone. Of views, `views` has what they show: their buffers may
  // be moved before the views are made anew.
  const clone = (value, seen, views) => {
    if (!isObject(value)) {
      if (typeof value === "symbol") throw fail(`${symbol.toString(value)} cannot be cloned`);
      return value;
    }
    const known = seen.get(value);
    if (known !== undefined) return known;
    if (typeof value === "function") throw fail("a function cannot be cloned");
    const kind = isView(value) ? TYPED : ops.valueKind(value);
    switch (kind) {
      case DATE:
        return keep(seen, value, new clonable.Date(date.getTime(value)));
      case REGEXP:
        return keep(seen, value, new clonable.RegExp(clonable.source(value), flags(value)));
      case BOXED:
        return keep(seen, value, box(value));
      case BUFFER:
        return keep(seen, value, copyBuffer(value));
      case TYPED:
        return cloneView(value, seen, views);
      case MAP:
      case SET:
        return cloneEntries(value, kind, seen, views);
      case ERROR:
        return cloneError(value, seen, views);
      case ARRAY: {
        const copy = keep(seen, value, []);
        copy.length = value.length;
        return cloneProperties(value, copy, seen, views);
      }
      case ARGUMENTS:
        return cloneProperties(value, keep(seen, value, {}), seen, views);
      case OTHER:
        if (ops.isPlainObject(value)) return cloneProperties(value, keep(seen, value, {}), seen, views);
    }
    throw fail("an object of this kind cannot be cloned");
  };
  const keep = (seen, value, copy) => {
    seen.set(value, copy);
    return copy;
  };

  const cloneProperties = (value, copy, seen, views) => {
    const names = keys(value);
    for (let i = 0; i < names.length; i++) {
      // An earlier getter may have removed it.
      if (isEnumerable(value, names[i])) define(copy, names[i], clone(value[names[i]], seen, views));
    }
    return copy;
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

  const cloneView = (view, seen, views) => {
    let shown = views.get(view);
    if (shown === undefined) {
      const tag = viewTag(view);
      shown = tag === undefined
        ? { tag: "DataView", buffer: dataBuffer(view), offset: dataOffset(view), bytes: dataBytes(view) }
        : { tag, buffer: typedBuffer(view), offset: typedOffset(view), bytes: typedBytes(view) };
    }
    const { tag, buffer, offset, bytes } = shown;
    const copied = clone(buffer, seen, views);
    const View = clonable.views[tag];
    // One that reaches to the end of a buffer that can grow grows with it.
    const rest = isResizable(copied) && offset + bytes === bufferLength(copied);
    const length = rest ? undefined : tag === "DataView" ? bytes : bytes / View.BYTES_PER_ELEMENT;
    const copy = construct(View, [copied, offset, length]);
    views.set(copy, { tag, buffer: copied, offset, bytes });
    return keep(seen, view, copy);
  };

  const cloneEntries = (value, kind, seen, views) => {
    // Natively, as they are now: a getter may change them meanwhile.
    const list = ops.previewEntries(value);
    const copy = keep(seen, value, kind === MAP ? new clonable.Map() : new clonable.Set());
    for (let i = 0; i < list.length; i++) {
      const item = clone(list[i], seen, views);
      if (kind === SET) setAdd(copy, item);
      else mapSet(copy, item, clone(list[++i], seen, views));
    }
    return copy;
  };

  const cloneError = (value, seen, views) => {
    const { name } = value;
    const message = getOwnPropertyDescriptor(value, "message");
    const Class = (typeof name === "string" && clonable.errors[name]) || clonable.errors.Error;
    const copy = keep(seen, value, new Class());
    // Errors have what they were made with, and nothing else is cloned.
    if (message !== undefined && message.get === undefined && message.set === undefined) define(copy, "message", domString(message.value), false);
    const held = getOwnPropertyDescriptor(value, "stack");
    const stack = held?.get !== undefined && held.get === stackGetter ? apply(stackGetter, value, []) : held?.value;
    if (typeof stack === "string") define(copy, "stack", stack, false);
    if (getOwnPropertyDescriptor(value, "cause") !== undefined) define(copy, "cause", clone(value.cause, seen, views), false);
    return copy;
  };

  const { structuredClone } = {
    structuredClone(value, options = undefined) {
      required(arguments.length, 1, "structuredClone");
      const given = dictionary(options, "structuredClone").transfer;
      const list = given === undefined ? [] : sequence(given, "structuredClone: transfer");
      const seen = new SafeMap();
      const views = new SafeMap();
      for (let i = 0; i < list.length; i++) {
        if (!isArrayBuffer(list[i])) throw fail("structuredClone: only ArrayBuffers can be transferred");
        if (seen.has(list[i])) throw fail("structuredClone: an ArrayBuffer is transferred twice");
        if (!ops.isDetachable(list[i])) throw fail("structuredClone: an ArrayBuffer is detached already, or cannot be");
        // It stands for itself in the first clone.
        seen.set(list[i], list[i]);
      }
      const copy = clone(value, seen, views);
      if (list.length === 0) return copy;
      // Cloning went well: the buffers move, and a clone of the clone, which has no code of the guest's in it, gets them.
      const moved = new SafeMap();
      for (let i = 0; i < list.length; i++) {
        if (!ops.isDetachable(list[i])) throw fail("structuredClone: an ArrayBuffer was detached meanwhile");
      }
      for (let i = 0; i < list.length; i++) moved.set(list[i], transfer(list[i]));
      return clone(copy, moved, views);
    },
  };
  nexus.defineFunction("structuredClone", structuredClone);
})
