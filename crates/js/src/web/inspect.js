// How the console shows values: `nexus.inspect`, `nexus.formatLog`, `nexus.formatTable`, `nexus.indentLines`.
//
// The text is Node's, near enough. Nothing of a guest's runs: getters are named, not called; proxies are looked
// through natively. The work is bounded: past 64 KB of text a value is cut, with a note.
(function (nexus) {
  "use strict";
  const { ops } = nexus;
  const { SafeMap, uncurryThis, isObject } = nexus.webidl;
  const {
    getOwnPropertyDescriptor, getPrototypeOf, ownKeys, toStringTag, isArray, stringify, parseInt, parseFloat, bufferLength,
    typedLength, functionText, Bytes, Error,
  } = nexus.builtins;
  const { string, regexp, date, number, boolean, symbol, bigint } = nexus.builtins;
  const { slice, replaceAll: replace, repeat, includes, padEnd, charCodeAt } = string;
  const { toString: hex } = number;
  const { toString: symbolText } = symbol;
  const test = (pattern, text) => regexp.exec(pattern, text) !== null;
  const boxNames = ["Number", "String", "Boolean", "Symbol", "BigInt"];
  const unbox = [number.valueOf, string.valueOf, boolean.valueOf, symbol.valueOf, bigint.valueOf];
  const stackGetter = getOwnPropertyDescriptor(new Error(), "stack")?.get;
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
  const MAX_ITEMS = 100;
  const MAX_STRING = 10_000;

  const larger = (a, b) => (a > b ? a : b);
  const more = (count, one, many = `${one}s`) => `... ${count} more ${count === 1 ? one : many}`;

  const quote = (string) => {
    let rest = "";
    if (string.length > MAX_STRING) {
      rest = more(string.length - MAX_STRING, "character");
      string = slice(string, 0, MAX_STRING);
    }
    let mark = "'";
    if (includes(string, "'")) mark = !includes(string, '"') ? '"' : !includes(string, "`") && !includes(string, "${") ? "`" : "'";
    let out = mark;
    for (let i = 0; i < string.length; i++) {
      const c = charCodeAt(string, i);
      const high = c >= 0xd800 && c <= 0xdbff;
      if (high || (c >= 0xdc00 && c <= 0xdfff)) {
        const next = high && i + 1 < string.length ? charCodeAt(string, i + 1) : 0;
        if (next >= 0xdc00 && next <= 0xdfff) {
          out += string[i] + string[++i];
          continue;
        }
        out += `\\u${hex(c, 16)}`;
      } else if (c === 10) out += "\\n";
      else if (c === 9) out += "\\t";
      else if (c === 13) out += "\\r";
      else if (c === 92) out += "\\\\";
      else if (c < 32 || c === 127) out += `\\x${c < 16 ? "0" : ""}${hex(c, 16)}`;
      else out += string[i] === mark ? `\\${mark}` : string[i];
    }
    return out + mark + rest;
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
        return symbolText(value);
      default:
        return `${value}`;
    }
  };

  /** The value of an own or inherited data property; getters are not called. */
  const dataProperty = (value, key) => {
    for (let object = value, i = 0; isObject(object) && i < 100; object = getPrototypeOf(object), i++) {
      if (ops.valueKind(object) === PROXY) return undefined;
      const descriptor = getOwnPropertyDescriptor(object, key);
      if (descriptor !== undefined) return descriptor.value;
    }
    return undefined;
  };

  /** The class's name, or null for an object without a prototype. */
  const className = (value) => {
    for (let object = value, i = 0; isObject(object) && i < 100; object = getPrototypeOf(object), i++) {
      if (ops.valueKind(object) === PROXY) return "Object";
      const made = getOwnPropertyDescriptor(object, "constructor")?.value;
      if (typeof made !== "function" || ops.valueKind(made) === PROXY) continue;
      const name = getOwnPropertyDescriptor(made, "name")?.value;
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

  const property = (context, object, key, depth) => {
    const descriptor = getOwnPropertyDescriptor(object, key);
    if (descriptor === undefined) return "undefined";
    if (descriptor.get !== undefined) return descriptor.set !== undefined ? "[Getter/Setter]" : "[Getter]";
    if (descriptor.set !== undefined) return "[Setter]";
    return format(context, descriptor.value, depth + 1);
  };
  const keyText = (key) => {
    if (typeof key === "symbol") return `[${symbolText(key)}]`;
    return test(/^[A-Za-z_$][\w$]*$/, key) ? key : quote(key);
  };

  const push = (context, output, text) => {
    context.length += text.length;
    output[output.length] = text;
  };
  const full = (context) => context.length > LIMIT;

  const isIndex = (key) => typeof key === "string" && test(/^(0|[1-9]\d{0,9})$/, key);

  const properties = (context, object, output, depth, skipIndices = false) => {
    const keys = ownKeys(object);
    let shown = 0;
    for (let i = 0; i < keys.length; i++) {
      const key = keys[i];
      if (skipIndices && isIndex(key)) continue;
      if (!getOwnPropertyDescriptor(object, key)?.enumerable) continue;
      if (shown === MAX_ITEMS || full(context)) {
        push(context, output, more(keys.length - i, "property", "properties"));
        return;
      }
      shown++;
      push(context, output, `${keyText(key)}: ${property(context, object, key, depth)}`);
    }
  };

  const items = (context, object, length, output, depth) => {
    let holes = 0;
    const flush = () => {
      if (holes > 0) push(context, output, `<${holes} empty item${holes === 1 ? "" : "s"}>`);
      holes = 0;
    };
    let i = 0;
    for (; i < length && output.length < MAX_ITEMS && !full(context); i++) {
      if (holes > 10_000) break;
      if (getOwnPropertyDescriptor(object, i) === undefined) {
        holes++;
        continue;
      }
      flush();
      push(context, output, property(context, object, i, depth));
    }
    flush();
    if (i < length) push(context, output, more(length - i, "item"));
  };

  /** Entries of a map, set or iterator: natively, without the iterators that a guest may have patched. */
  const entries = (context, value, output, depth, pairs) => {
    const list = ops.previewEntries(value) ?? [];
    const step = pairs ? 2 : 1;
    for (let i = 0; i < list.length; i += step) {
      if (i / step === MAX_ITEMS || full(context)) {
        push(context, output, more((list.length - i) / step, "item"));
        return list.length / step;
      }
      const key = format(context, list[i], depth + 1);
      push(context, output, pairs ? `${key} => ${format(context, list[i + 1], depth + 1)}` : key);
    }
    return list.length / step;
  };

  const reduce = (output, open, close, start) => {
    const head = start === "" ? open : `${start} ${open}`;
    if (output.length === 0) return head + close;
    let total = head.length + output.length;
    let lines = false;
    for (let i = 0; i < output.length; i++) {
      total += output[i].length + 1;
      if (includes(output[i], "\n")) lines = true;
    }
    if (!lines && total <= WIDTH) return `${head} ${join(output, ", ")} ${close}`;
    let out = "";
    let line = "";
    // Short items of a long list share lines.
    const pack = open === "[" && output.length > 6 && !lines;
    for (let i = 0; i < output.length; i++) {
      const text = i + 1 < output.length ? `${output[i]},` : output[i];
      if (pack && line !== "" && line.length + text.length < WIDTH - 4) {
        line += ` ${text}`;
      } else {
        if (line !== "") out += `\n  ${line}`;
        line = pack ? text : replace(text, "\n", "\n  ");
      }
    }
    return `${head}${out}\n  ${line}\n${close}`;
  };

  const functionBase = (value) => {
    const name = getOwnPropertyDescriptor(value, "name")?.value;
    const named = typeof name === "string" && name !== "";
    const text = functionText(value);
    if (slice(text, 0, 5) === "class" && !test(/^class\s*[=(]/, text)) {
      const parent = getPrototypeOf(value);
      const parentName = typeof parent === "function" ? getOwnPropertyDescriptor(parent, "name")?.value : "";
      return `[class ${named ? name : "(anonymous)"}${parentName ? ` extends ${parentName}` : ""}]`;
    }
    const kind = dataProperty(value, toStringTag);
    return `[${typeof kind === "string" && kind !== "" ? kind : "Function"}${named ? `: ${name}` : " (anonymous)"}]`;
  };

  const errorBase = (error) => {
    const descriptor = getOwnPropertyDescriptor(error, "stack");
    let stack = descriptor?.value;
    if (descriptor?.get !== undefined && descriptor.get === stackGetter) {
      try {
        stack = uncurryThis(stackGetter)(error);
      } catch {
        stack = undefined;
      }
    }
    if (typeof stack === "string" && stack !== "") return includes(stack, "\n    at ") ? stack : `[${stack}]`;
    const message = dataProperty(error, "message");
    const name = className(error) ?? "Error";
    return `[${name}${typeof message === "string" && message !== "" ? `: ${message}` : ""}]`;
  };

  /** Attributes of a Web API's object, which are getters of ours. */
  const attributes = (context, value, output, depth) => {
    for (let proto = getPrototypeOf(value); proto !== null; proto = getPrototypeOf(proto)) {
      if (ops.valueKind(proto) === PROXY) return;
      if (!nexus.interfaces.has(proto)) continue;
      const at = nexus.pairLists.get(proto);
      if (at !== undefined) {
        for (let i = 0, pair; (pair = at(value, i)) !== undefined; i++) {
          if (i === MAX_ITEMS || full(context)) {
            push(context, output, "...");
            break;
          }
          push(context, output, `${quote(pair[0])} => ${format(context, pair[1], depth + 1)}`);
        }
        continue;
      }
      const keys = ownKeys(proto);
      for (let i = 0; i < keys.length; i++) {
        // These two make an object when they are first read.
        if (keys[i] === "body" || keys[i] === "signal") continue;
        const get = getOwnPropertyDescriptor(proto, keys[i])?.get;
        if (get === undefined || full(context)) continue;
        try {
          push(context, output, `${keyText(keys[i])}: ${format(context, uncurryThis(get)(value), depth + 1)}`);
        } catch {
          // An object that only inherits from the interface has no attributes.
        }
      }
    }
  };

  const format = (context, value, depth) => {
    if (!isObject(value)) return primitive(value);
    let kind = ops.valueKind(value);
    for (let i = 0; kind === PROXY; i++) {
      const target = ops.proxyTarget(value);
      if (target === null || target === undefined || i === 100) return "<Revoked Proxy>";
      value = target;
      kind = ops.valueKind(value);
    }
    if (full(context)) return "...";
    if (context.seen.has(value)) {
      let index = context.circular.get(value);
      if (index === undefined) context.circular.set(value, (index = context.circular.size + 1));
      return `[Circular *${index}]`;
    }
    context.seen.set(value, true);
    let text;
    try {
      text = formatObject(context, value, kind, depth);
    } finally {
      context.seen.delete(value);
    }
    const index = context.circular.get(value);
    return index === undefined ? text : `<ref *${index}> ${text}`;
  };

  const formatObject = (context, value, kind, depth) => {
    // Leaves first: what needs no braces unless it has properties of its own.
    const output = [];
    let base = "";
    if (typeof value === "function") base = functionBase(value);
    else if (kind === DATE) base = date.getTime(value) !== date.getTime(value) ? "Invalid Date" : date.toISOString(value);
    else if (kind === REGEXP) base = regexp.toString(value);
    else if (kind === ERROR) base = errorBase(value);
    else if (kind === BOXED) {
      for (let i = 0; i < boxNames.length && base === ""; i++) {
        try {
          base = `[${boxNames[i]}: ${primitive(unbox[i](value))}]`;
        } catch {
          // Not a box of this type: the next.
        }
      }
    }
    if (base !== "") {
      if (depth <= context.depth) {
        if (kind === ERROR) {
          for (let key = "cause"; ; key = "errors") {
            const hidden = getOwnPropertyDescriptor(value, key);
            if (hidden !== undefined && !hidden.enumerable) {
              push(context, output, `[${key}]: ${property(context, value, key, depth)}`);
            }
            if (key === "errors") break;
          }
        }
        properties(context, value, output, depth, kind === BOXED);
      }
      context.length += base.length;
      return output.length === 0 ? base : reduce(output, "{", "}", base);
    }

    if (depth > context.depth) {
      return kind === ARRAY ? "[Array]" : `[${prefix(value, "Object")}]`;
    }
    if (kind === ARRAY || kind === ARGUMENTS) {
      const length = getOwnPropertyDescriptor(value, "length")?.value ?? 0;
      items(context, value, length, output, depth);
      properties(context, value, output, depth, true);
      const name = className(value);
      const start = kind === ARGUMENTS ? "[Arguments]" : name === "Array" ? "" : prefix(value, "Array", length);
      return reduce(output, "[", "]", start);
    }
    if (kind === TYPED) {
      const length = typedLength(value);
      for (let i = 0; i < length && i < MAX_ITEMS; i++) push(context, output, primitive(value[i]));
      if (length > MAX_ITEMS) push(context, output, more(length - MAX_ITEMS, "item"));
      properties(context, value, output, depth, true);
      return reduce(output, "[", "]", prefix(value, "TypedArray", length));
    }
    if (kind === MAP || kind === SET) {
      const size = entries(context, value, output, depth, kind === MAP);
      properties(context, value, output, depth);
      return reduce(output, "{", "}", prefix(value, kind === MAP ? "Map" : "Set", size));
    }
    if (kind === ITERATOR) {
      entries(context, value, output, depth, false);
      return reduce(output, "{", "}", `[${prefix(value, "Iterator")}]`);
    }
    if (kind === BUFFER) {
      const size = bufferLength(value);
      const bytes = new Bytes(value, 0, size < 50 ? size : 50);
      let text = "";
      for (let i = 0; i < bytes.length; i++) text += `${i === 0 ? "" : " "}${bytes[i] < 16 ? "0" : ""}${hex(bytes[i], 16)}`;
      if (size > 50) text += ` ${more(size - 50, "byte")}`;
      push(context, output, `[Uint8Contents]: <${text}>`);
      push(context, output, `byteLength: ${size}`);
    } else if (kind === WEAK) {
      push(context, output, "<items unknown>");
    } else if (kind !== PROMISE && kind !== GENERATOR && kind !== NAMESPACE) {
      attributes(context, value, output, depth);
    }
    properties(context, value, output, depth);
    const start = kind === NAMESPACE ? "[Module: null prototype]" : prefix(value, "Object");
    return reduce(output, "{", "}", start === "Object" ? "" : start);
  };

  const inspect = (value, options) => {
    const given = isObject(options) ? options.depth : undefined;
    const depth = given === null ? 100 : typeof given === "number" ? (given < 100 ? given : 100) : 4;
    const context = { depth, length: 0, seen: new SafeMap(), circular: new SafeMap() };
    const text = format(context, value, 0);
    return text.length > LIMIT ? `${slice(text, 0, LIMIT)}… (cut at 64 KB)` : text;
  };

  const directive = (letter, value) => {
    switch (letter) {
      case "s":
        if (typeof value === "string") return value;
        return isObject(value) ? inspect(value, { depth: 0 }) : primitive(value);
      case "d":
        if (typeof value === "bigint") return `${value}n`;
        return isObject(value) || typeof value === "symbol" ? "NaN" : primitive(+value);
      case "i":
        if (typeof value === "bigint") return `${value}n`;
        return isObject(value) || typeof value === "symbol" ? "NaN" : primitive(parseInt(value, 10));
      case "f":
        return typeof value === "symbol" || isObject(value) ? "NaN" : primitive(parseFloat(value));
      case "j":
        try {
          return `${stringify(value)}`;
        } catch {
          return "[Circular]";
        }
      case "o":
      case "O":
        return inspect(value);
      default:
        return "";
    }
  };

  const formatLog = (args) => {
    let out = "";
    let next = 0;
    if (args.length > 1 && typeof args[0] === "string") {
      const pattern = args[0];
      next = 1;
      let from = 0;
      for (let i = 0; i + 1 < pattern.length; i++) {
        if (charCodeAt(pattern, i) !== 37) continue;
        const letter = pattern[i + 1];
        if (letter === "%") {
          out += slice(pattern, from, i + 1);
        } else if (next < args.length && includes("sdifjoOc", letter)) {
          out += slice(pattern, from, i) + directive(letter, args[next++]);
        } else {
          continue;
        }
        from = ++i + 1;
      }
      out += slice(pattern, from);
    }
    for (; next < args.length; next++) {
      if (next > 0) out += " ";
      out += typeof args[next] === "string" ? args[next] : inspect(args[next]);
    }
    return out;
  };

  /** Rows of anything with own properties, as a table; other values are shown as they are. */
  const formatTable = (data, wanted) => {
    if (!isObject(data) || ops.valueKind(data) === PROXY) return formatLog([data]);
    const cell = (object, key) => {
      const descriptor = getOwnPropertyDescriptor(object, key);
      return descriptor === undefined ? "" : "value" in descriptor ? inspect(descriptor.value, { depth: 0 }) : "[Getter]";
    };
    const columns = [];
    const rows = [];
    const width = new SafeMap();
    const add = (row, column, text) => {
      if (!width.has(column)) {
        columns[columns.length] = column;
        width.set(column, column.length);
      }
      row.set(column, text);
      if (text.length > width.get(column)) width.set(column, text.length);
    };
    const INDEX = "(index)";
    const VALUES = "Values";
    let anyValue = false;
    add(new SafeMap(), INDEX, "");
    const kind = ops.valueKind(data);
    const list = kind === MAP || kind === SET ? ops.previewEntries(data) : null;
    const step = kind === MAP ? 2 : 1;
    const keys = list === null ? ownKeys(data) : list;
    for (let i = 0; i < keys.length && rows.length < 1000; i += list === null ? 1 : step) {
      let key = keys[i];
      let value;
      if (list !== null) {
        value = list[i + step - 1];
        key = kind === MAP ? inspect(key, { depth: 0 }) : `${i}`;
      } else {
        const descriptor = getOwnPropertyDescriptor(data, key);
        if (typeof key === "symbol" || !descriptor?.enumerable) continue;
        value = descriptor.value;
      }
      const row = new SafeMap();
      add(row, INDEX, key);
      if (isObject(value) && ops.valueKind(value) !== PROXY) {
        const fields = isArray(wanted) ? wanted : ownKeys(value);
        for (let j = 0; j < fields.length && j < MAX_ITEMS; j++) {
          const field = fields[j];
          if (typeof field === "string" && getOwnPropertyDescriptor(value, field)?.enumerable) {
            add(row, field, cell(value, field));
          }
        }
      } else {
        anyValue = true;
        row.set(VALUES, inspect(value, { depth: 0 }));
      }
      rows[rows.length] = row;
    }
    if (anyValue) {
      columns[columns.length] = VALUES;
      let widest = VALUES.length;
      for (let i = 0; i < rows.length; i++) if (rows[i].has(VALUES)) widest = larger(widest, rows[i].get(VALUES).length);
      width.set(VALUES, widest);
    }
    const line = (left, middle, right) => {
      let out = left;
      for (let i = 0; i < columns.length; i++) out += (i === 0 ? "" : middle) + repeat("─", width.get(columns[i]) + 2);
      return out + right;
    };
    const cells = (text) => {
      let out = "│";
      for (let i = 0; i < columns.length; i++) out += ` ${padEnd(text(columns[i]), width.get(columns[i]))} │`;
      return out;
    };
    let out = `${line("┌", "┬", "┐")}\n${cells((column) => column)}\n${line("├", "┼", "┤")}\n`;
    for (let i = 0; i < rows.length; i++) out += `${cells((column) => rows[i].get(column) ?? "")}\n`;
    return out + line("└", "┴", "┘");
  };

  nexus.inspect = inspect;
  nexus.formatLog = formatLog;
  nexus.formatTable = formatTable;
  nexus.indentLines = (text, indent) => indent + replace(text, "\n", `\n${indent}`);
})
