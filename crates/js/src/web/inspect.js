// How the console shows a value: `nexus.inspect`.
//
// The text is Node's, near enough. Nothing of a guest's runs, but for what V8 asks where it makes the stack of an error
// at its first use (Error.prepareStackTrace, above all): getters are named, not called; proxies are looked through
// natively. The work is bounded: past 64 KB of text a value is cut, with a note, and nothing is before.
(function (nexus) {
  "use strict";
  const { ops } = nexus;
  const { SafeMap, uncurryThis, isObject } = nexus.webidl;
  const {
    getOwnPropertyDescriptor, getPrototypeOf, setPrototypeOf, ownKeys, toStringTag, bufferLength, typedLength,
    functionText, Bytes, Error,
  } = nexus.builtins;
  const { string, regexp, date, number, boolean, symbol, bigint } = nexus.builtins;
  const { source, flags } = nexus.builtins.clonable;
  const { slice, replaceAll: replace, repeat, includes, charCodeAt } = string;
  const { toString: hex } = number;
  const { toString: symbolText } = symbol;
  /** The descriptor of a property, in which nothing that a guest has put onto Object.prototype is found. */
  const own = (object, key) => {
    const descriptor = getOwnPropertyDescriptor(object, key);
    return descriptor === undefined ? undefined : setPrototypeOf(descriptor, null);
  };
  const test = (pattern, text) => regexp.exec(pattern, text) !== null;
  /** Its own method would ask the object, and a guest's getters there, for source and flags. */
  const regexpText = (value) => {
    let text = `/${source(value)}/`;
    for (let i = 0; i < flags.length; i++) if (flags[i].get(value)) text += flags[i].letter;
    return text;
  };
  const boxNames = ["Number", "String", "Boolean", "Symbol", "BigInt"];
  const unbox = [number.valueOf, string.valueOf, boolean.valueOf, symbol.valueOf, bigint.valueOf];
  const stackGetter = own(new Error(), "stack")?.get;
  const join = (list, separator) => {
    let out = "";
    for (let i = 0; i < list.length; i++) out += (i === 0 ? "" : separator) + list[i];
    return out;
  };

  // What `ops.valueKind` says.
  const ARRAY = 1, MAP = 2, SET = 3, DATE = 4, REGEXP = 5, ERROR = 6, PROMISE = 7, PROXY = 8, TYPED = 9, BUFFER = 10;
  const WEAK = 12, BOXED = 14, GENERATOR = 15, NAMESPACE = 16, ARGUMENTS = 17, ITERATOR = 18;

  const LIMIT = 64 * 1024;
  const WIDTH = 76;
  /** Deeper than this is nothing shown: the stack is finite. */
  const MAX_DEPTH = 100;
  /** So many holes are looked for in an array. */
  const MAX_HOLES = 100_000;

  const more = (count, one, many = `${one}s`) => `... ${count} more ${count === 1 ? one : many}`;
  const cut = (text) => (text.length > LIMIT ? slice(text, 0, LIMIT + 1) : text);

  const quote = (string) => {
    string = cut(string);
    let mark = "'";
    if (includes(string, "'")) mark = !includes(string, '"') ? '"' : !includes(string, "`") && !includes(string, "${") ? "`" : "'";
    let out = mark;
    // What needs no escape is taken in one piece.
    let from = 0;
    for (let i = 0; i < string.length; i++) {
      const c = charCodeAt(string, i);
      let escaped;
      if (c >= 0xd800 && c <= 0xdfff) {
        const next = c <= 0xdbff && i + 1 < string.length ? charCodeAt(string, i + 1) : 0;
        if (next >= 0xdc00 && next <= 0xdfff) {
          i++;
          continue;
        }
        escaped = `\\u${hex(c, 16)}`;
      } else if (c === 10) escaped = "\\n";
      else if (c === 9) escaped = "\\t";
      else if (c === 13) escaped = "\\r";
      else if (c === 92) escaped = "\\\\";
      else if (c < 32 || c === 127) escaped = `\\x${c < 16 ? "0" : ""}${hex(c, 16)}`;
      else if (string[i] === mark) escaped = `\\${mark}`;
      else continue;
      out += slice(string, from, i) + escaped;
      from = i + 1;
    }
    return out + slice(string, from) + mark;
  };

  const primitive = (value) => {
    switch (typeof value) {
      case "string":
        return quote(value);
      case "number":
        return value === 0 && 1 / value < 0 ? "-0" : `${value}`;
      case "bigint":
        return `${value}n`;
      case "symbol":
        return cut(symbolText(value));
      default:
        return `${value}`;
    }
  };

  /** The value of an own or inherited data property; getters are not called. */
  const dataProperty = (value, key) => {
    for (let object = value, i = 0; isObject(object) && i < 100; object = getPrototypeOf(object), i++) {
      if (ops.valueKind(object) === PROXY) return undefined;
      const descriptor = own(object, key);
      if (descriptor !== undefined) return descriptor.value;
    }
    return undefined;
  };

  /** The class's name, or null for an object without a prototype. */
  const className = (value) => {
    for (let object = value, i = 0; isObject(object) && i < 100; object = getPrototypeOf(object), i++) {
      if (ops.valueKind(object) === PROXY) return "Object";
      const made = own(object, "constructor")?.value;
      if (typeof made !== "function" || ops.valueKind(made) === PROXY) continue;
      const name = own(made, "name")?.value;
      if (typeof name === "string" && name !== "") return name;
    }
    return null;
  };

  /** `Foo`, `Foo(3)`, `Foo [tag]`, `[Object: null prototype]`, …; without a name only what is not usual. */
  const prefix = (value, usual, size) => {
    const name = className(value);
    const tag = dataProperty(value, toStringTag);
    const count = size === undefined ? "" : `(${size})`;
    const base = name === null ? `[${usual}${count}: null prototype]` : `${name}${count}`;
    return typeof tag === "string" && tag !== "" && tag !== name ? `${base} [${tag}]` : base;
  };

  // All text is counted once, where it is made. `level` is how deep a value lies in the one that is shown.
  const full = (context) => context.length > LIMIT;
  const counted = (context, text) => {
    context.length += text.length + 1;
    return text;
  };
  const push = (output, text) => {
    output[output.length] = text;
  };

  const property = (context, descriptor, level) => {
    if (descriptor.get !== undefined) return counted(context, descriptor.set !== undefined ? "[Getter/Setter]" : "[Getter]");
    if (descriptor.set !== undefined) return counted(context, "[Setter]");
    return format(context, descriptor.value, level + 1);
  };
  const keyText = (key) => {
    if (typeof key === "symbol") return `[${cut(symbolText(key))}]`;
    return test(/^[A-Za-z_$][\w$]*$/, key) ? cut(key) : quote(key);
  };
  const pair = (context, key, text) => `${counted(context, key)}: ${text}`;

  const properties = (context, object, output, level, named = false) => {
    const keys = named ? (ops.ownNames(object) ?? []) : ownKeys(object);
    for (let i = 0; i < keys.length; i++) {
      const key = keys[i];
      const descriptor = own(object, key);
      if (!descriptor?.enumerable) continue;
      if (full(context)) {
        push(output, more(keys.length - i, "property", "properties"));
        return;
      }
      const name = keyText(key);
      push(output, pair(context, name, property(context, descriptor, level)));
    }
  };

  /** The exports of a module, some of which may have no value yet. */
  const bindings = (context, namespace, output, level) => {
    const keys = ownKeys(namespace);
    for (let i = 0; i < keys.length && !full(context); i++) {
      if (typeof keys[i] === "symbol") continue;
      let descriptor;
      try {
        descriptor = own(namespace, keys[i]);
      } catch {
        push(output, pair(context, keyText(keys[i]), counted(context, "<uninitialized>")));
        continue;
      }
      push(output, pair(context, keyText(keys[i]), property(context, descriptor, level)));
    }
  };

  const items = (context, object, length, output, level) => {
    let holes = 0;
    let most = MAX_HOLES;
    const flush = () => {
      if (holes > 0) push(output, counted(context, `<${holes} empty item${holes === 1 ? "" : "s"}>`));
      holes = 0;
    };
    let i = 0;
    for (; i < length && !full(context); i++) {
      const descriptor = own(object, i);
      if (descriptor === undefined) {
        if (most-- === 0) break;
        holes++;
        continue;
      }
      flush();
      push(output, property(context, descriptor, level));
    }
    flush();
    if (i < length) push(output, more(length - i, "item"));
  };

  /** Entries of a map, set or iterator: natively, without the iterators that a guest may have patched. */
  const entries = (context, value, output, level, pairs) => {
    const list = ops.previewEntries(value) ?? [];
    const step = pairs ? 2 : 1;
    for (let i = 0; i < list.length; i += step) {
      if (full(context)) {
        push(output, more((list.length - i) / step, "item"));
        break;
      }
      const key = format(context, list[i], level + 1);
      push(output, pairs ? `${key} => ${format(context, list[i + 1], level + 1)}` : key);
    }
    return list.length / step;
  };

  /** Puts the items between their brackets: on one line if they fit there, else with the indentation of their level. */
  const reduce = (context, output, open, close, start, level) => {
    const head = start === "" ? open : `${start} ${open}`;
    counted(context, start);
    if (output.length === 0) return head + close;
    let total = head.length + output.length;
    let lines = false;
    for (let i = 0; i < output.length; i++) {
      total += output[i].length + 1;
      if (!lines && includes(output[i], "\n")) lines = true;
    }
    if (!lines && total <= WIDTH) return `${head} ${join(output, ", ")} ${close}`;
    const indent = `\n${repeat("  ", level)}`;
    let out = head;
    let line = "";
    // Short items of a long list have lines in common.
    const pack = open === "[" && output.length > 6 && !lines;
    for (let i = 0; i < output.length; i++) {
      const text = i + 1 < output.length ? `${output[i]},` : output[i];
      if (pack && line !== "" && line.length + text.length < WIDTH - 4) {
        line += ` ${text}`;
      } else {
        if (line !== "") out += `${indent}  ${line}`;
        line = text;
      }
    }
    return `${out}${indent}  ${line}${indent}${close}`;
  };

  const functionBase = (value) => {
    const name = own(value, "name")?.value;
    const named = typeof name === "string" && name !== "";
    const text = functionText(value);
    if (slice(text, 0, 5) === "class" && !test(/^class\s*[=(]/, text)) {
      const parent = getPrototypeOf(value);
      const parentName = typeof parent === "function" && ops.valueKind(parent) !== PROXY ? own(parent, "name")?.value : "";
      const parentNamed = typeof parentName === "string" && parentName !== "";
      return `[class ${named ? cut(name) : "(anonymous)"}${parentNamed ? ` extends ${cut(parentName)}` : ""}]`;
    }
    const kind = dataProperty(value, toStringTag);
    return `[${typeof kind === "string" && kind !== "" ? kind : "Function"}${named ? `: ${name}` : " (anonymous)"}]`;
  };

  const errorBase = (error) => {
    const descriptor = own(error, "stack");
    let stack = descriptor?.value;
    if (descriptor?.get !== undefined && descriptor.get === stackGetter) {
      try {
        stack = uncurryThis(stackGetter)(error);
      } catch {
        stack = undefined;
      }
    }
    if (typeof stack === "string" && stack !== "") {
      stack = cut(stack);
      return includes(stack, "\n    at ") ? stack : `[${stack}]`;
    }
    const message = dataProperty(error, "message");
    const name = className(error) ?? "Error";
    return `[${name}${typeof message === "string" && message !== "" ? `: ${cut(message)}` : ""}]`;
  };

  /** A pair of a list; an object that only inherits from the interface has none. */
  const pairAt = (at, value, i) => {
    try {
      return at(value, i);
    } catch {
      return undefined;
    }
  };

  /** Attributes of a Web API's object: the getters as we have made them, not those that a guest has put there. */
  const attributes = (context, value, output, level) => {
    for (let proto = getPrototypeOf(value); proto !== null; proto = getPrototypeOf(proto)) {
      if (ops.valueKind(proto) === PROXY) return;
      const getters = nexus.interfaces.get(proto);
      if (getters === undefined) continue;
      const at = nexus.pairLists.get(proto);
      if (at !== undefined) {
        for (let i = 0, pair; (pair = pairAt(at, value, i)) !== undefined; i++) {
          if (full(context)) {
            push(output, "...");
            break;
          }
          const key = counted(context, quote(pair[0]));
          push(output, `${key} => ${format(context, pair[1], level + 1)}`);
        }
        continue;
      }
      for (let i = 0; i < getters.length; i += 2) {
        // These two make an object when they are first read.
        if (getters[i] === "body" || getters[i] === "signal" || full(context)) continue;
        try {
          push(output, pair(context, keyText(getters[i]), format(context, uncurryThis(getters[i + 1])(value), level + 1)));
        } catch {
          // An object that only inherits from the interface has no attributes.
        }
      }
    }
  };

  const format = (context, value, level) => {
    if (!isObject(value)) return counted(context, primitive(value));
    let kind = ops.valueKind(value);
    for (let i = 0; kind === PROXY; i++) {
      const target = ops.proxyTarget(value);
      if (target === null || target === undefined || i === 100) return counted(context, "<Revoked Proxy>");
      value = target;
      kind = ops.valueKind(value);
    }
    if (full(context)) return "...";
    if (context.seen.has(value)) {
      let index = context.circular.get(value);
      if (index === undefined) context.circular.set(value, (index = context.circular.size + 1));
      return counted(context, `[Circular *${index}]`);
    }
    context.seen.set(value, true);
    let text;
    try {
      text = formatObject(context, value, kind, level);
    } finally {
      context.seen.delete(value);
    }
    const index = context.circular.get(value);
    return index === undefined ? text : `<ref *${index}> ${text}`;
  };

  /** What needs no brackets unless it has properties of its own; "" for all else. */
  const leaf = (value, kind) => {
    if (typeof value === "function") return functionBase(value);
    if (kind === DATE) return date.getTime(value) !== date.getTime(value) ? "Invalid Date" : date.toISOString(value);
    if (kind === REGEXP) return cut(regexpText(value));
    if (kind === ERROR) return errorBase(value);
    if (kind !== BOXED) return "";
    for (let i = 0; i < boxNames.length; i++) {
      try {
        return `[${boxNames[i]}: ${primitive(unbox[i](value))}]`;
      } catch {
        // Not a box of this type: the next.
      }
    }
    return "";
  };

  const formatObject = (context, value, kind, level) => {
    const output = [];
    let base = leaf(value, kind);
    if (base !== "") {
      if (kind === ERROR) base = replace(base, "\n", `\n${repeat("  ", level)}`);
      if (level <= context.depth) {
        if (kind === ERROR) {
          for (let key = "cause"; ; key = "errors") {
            const hidden = own(value, key);
            if (hidden !== undefined && !hidden.enumerable) {
              push(output, pair(context, `[${key}]`, property(context, hidden, level)));
            }
            if (key === "errors") break;
          }
        }
        properties(context, value, output, level, kind === BOXED);
      }
      return output.length === 0 ? counted(context, base) : reduce(context, output, "{", "}", base, level);
    }

    if (level > context.depth) return counted(context, kind === ARRAY ? "[Array]" : `[${prefix(value, "Object")}]`);
    if (kind === ARRAY || kind === ARGUMENTS) {
      // Of an arguments object it may be anything.
      const given = own(value, "length")?.value;
      const length = typeof given === "number" ? given : 0;
      items(context, value, length, output, level);
      properties(context, value, output, level, true);
      const name = className(value);
      const start = kind === ARGUMENTS ? "[Arguments]" : name === "Array" ? "" : prefix(value, "Array", length);
      return reduce(context, output, "[", "]", start, level);
    }
    if (kind === TYPED) {
      const length = typedLength(value);
      let i = 0;
      for (; i < length && !full(context); i++) push(output, counted(context, primitive(value[i])));
      if (i < length) push(output, more(length - i, "item"));
      properties(context, value, output, level, true);
      return reduce(context, output, "[", "]", prefix(value, "TypedArray", length), level);
    }
    if (kind === MAP || kind === SET) {
      const size = entries(context, value, output, level, kind === MAP);
      properties(context, value, output, level);
      return reduce(context, output, "{", "}", prefix(value, kind === MAP ? "Map" : "Set", size), level);
    }
    if (kind === ITERATOR) {
      entries(context, value, output, level, false);
      const tag = dataProperty(value, toStringTag);
      return reduce(context, output, "{", "}", `[${typeof tag === "string" ? cut(tag) : "Iterator"}]`, level);
    }
    if (kind === NAMESPACE) {
      bindings(context, value, output, level);
      return reduce(context, output, "{", "}", "[Module: null prototype]", level);
    }
    if (kind === BUFFER) {
      const size = bufferLength(value);
      const shown = size < LIMIT / 3 ? size : (LIMIT / 3) | 0;
      // One that is detached has no bytes to look at.
      const bytes = shown === 0 ? null : new Bytes(value, 0, shown);
      let text = "";
      for (let i = 0; i < shown; i++) text += `${i === 0 ? "" : " "}${bytes[i] < 16 ? "0" : ""}${hex(bytes[i], 16)}`;
      if (size > shown) text += ` ${more(size - shown, "byte")}`;
      push(output, `[Uint8Contents]: <${counted(context, text)}>`);
      push(output, counted(context, `byteLength: ${size}`));
    } else if (kind === PROMISE) {
      const settled = ops.promiseState(value);
      if (settled === undefined) push(output, counted(context, "<pending>"));
      else push(output, (settled[0] ? "" : counted(context, "<rejected> ")) + format(context, settled[1], level + 1));
    } else if (kind === WEAK) {
      push(output, counted(context, "<items unknown>"));
    } else if (kind !== GENERATOR) {
      attributes(context, value, output, level);
    }
    properties(context, value, output, level);
    const start = prefix(value, "Object");
    return reduce(context, output, "{", "}", start === "Object" ? "" : start, level);
  };

  nexus.inspect = (value, options) => {
    const given = isObject(options) ? options.depth : undefined;
    const depth = typeof given === "number" && given < MAX_DEPTH ? given : MAX_DEPTH;
    const context = { __proto__: null, depth, length: 0, seen: new SafeMap(), circular: new SafeMap() };
    const text = format(context, value, 0);
    return text.length > LIMIT ? `${slice(text, 0, LIMIT)}… (cut at 64 KB)` : text;
  };
})
