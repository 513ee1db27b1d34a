// What the console writes: `nexus.formatLog`, `nexus.formatList`, `nexus.formatTable`, `nexus.indentLines`.
// https://console.spec.whatwg.org/
(function (nexus) {
  "use strict";
  const { ops, inspect } = nexus;
  const { SafeMap, isObject } = nexus.webidl;
  const { getOwnPropertyDescriptor, ownKeys, hasOwn, parseInt, parseFloat, textOf } = nexus.builtins;
  const { slice, replaceAll: replace, repeat, includes, padEnd, charCodeAt } = nexus.builtins.string;
  // What `ops.valueKind` says.
  const MAP = 2, SET = 3, PROXY = 8;

  /** What a specifier makes of a value. The standard has objects converted to text by their own methods. */
  const directive = (letter, value) => {
    switch (letter) {
      case "s":
        return textOf(value);
      case "d":
      case "i":
        return typeof value === "symbol" ? "NaN" : `${parseInt(value, 10)}`;
      case "f":
        return typeof value === "symbol" ? "NaN" : `${parseFloat(value)}`;
      case "o":
      case "O":
        return inspect(value);
      default:
        // %c: there is no style.
        return "";
    }
  };

  /** Printer: the values from `next` on, one after the other. */
  const list = (out, args, next) => {
    for (; next < args.length; next++) {
      if (next > 0) out += " ";
      out += typeof args[next] === "string" ? args[next] : inspect(args[next]);
    }
    return out;
  };

  /** Formatter, section 2.2. What a specifier puts in is not looked through for others. */
  const formatLog = (args) => {
    if (args.length < 2 || typeof args[0] !== "string") return list("", args, 0);
    const pattern = args[0];
    let out = "";
    let next = 1;
    let from = 0;
    for (let i = 0; i + 1 < pattern.length; i++) {
      if (charCodeAt(pattern, i) !== 37) continue;
      const letter = pattern[i + 1];
      if (letter === "%") {
        out += slice(pattern, from, i + 1);
      } else if (next < args.length && includes("sdifoOc", letter)) {
        out += slice(pattern, from, i) + directive(letter, args[next++]);
      } else {
        continue;
      }
      from = ++i + 1;
    }
    return list(out + slice(pattern, from), args, next);
  };

  const INDEX = "(index)";
  const VALUES = "Values";
  /** A larger table is none that anybody would read; in characters. */
  const LIMIT = 64 * 1024;

  /**
   * Rows of anything with own properties, as a table. Other values are shown as they are, and so is what makes a table
   * that is too large.
   */
  const formatTable = (data, wanted) => {
    if (!isObject(data) || ops.valueKind(data) === PROXY) return list("", [data], 0);
    const columns = [];
    const rows = [];
    const width = new SafeMap();
    let size = 0;
    const cell = (row, column, text) => {
      if (!width.has(column)) {
        columns[columns.length] = column;
        width.set(column, column.length);
      }
      row.set(column, text);
      if (text.length > width.get(column)) width.set(column, text.length);
      size += text.length + 3;
    };
    const value = (descriptor) => (hasOwn(descriptor, "value") ? inspect(descriptor.value, FLAT) : "[Getter]");
    // The columns come in the order in which they are found, but for these two.
    columns[0] = INDEX;
    width.set(INDEX, INDEX.length);
    for (let i = 0; wanted !== undefined && i < wanted.length; i++) {
      if (width.has(wanted[i])) continue;
      columns[columns.length] = wanted[i];
      width.set(wanted[i], wanted[i].length);
    }
    let widest = 0;
    const kind = ops.valueKind(data);
    const entries = kind === MAP || kind === SET ? ops.previewEntries(data) : null;
    const step = kind === MAP ? 2 : 1;
    const keys = entries === null ? ownKeys(data) : entries;
    for (let i = 0; i < keys.length; i += step) {
      let key = keys[i];
      let item;
      if (entries !== null) {
        item = { __proto__: null, value: entries[i + step - 1] };
        key = kind === MAP ? inspect(key, FLAT) : `${i}`;
      } else {
        item = getOwnPropertyDescriptor(data, key);
        if (typeof key === "symbol" || !item?.enumerable) continue;
      }
      const row = new SafeMap();
      cell(row, INDEX, key);
      const known = hasOwn(item, "value");
      if (known && isObject(item.value) && ops.valueKind(item.value) !== PROXY) {
        const fields = wanted ?? ownKeys(item.value);
        for (let j = 0; j < fields.length && size < LIMIT; j++) {
          if (typeof fields[j] !== "string") continue;
          const field = getOwnPropertyDescriptor(item.value, fields[j]);
          if (field?.enumerable) cell(row, fields[j], value(field));
        }
      } else {
        const text = value(item);
        row.only = text;
        size += text.length;
        if (text.length > widest) widest = text.length;
      }
      rows[rows.length] = row;
      if (size >= LIMIT) return list("", [data], 0);
    }
    if (widest > 0 && widest < VALUES.length) widest = VALUES.length;

    let across = widest;
    for (let i = 0; i < columns.length; i++) across += width.get(columns[i]) + 3;
    if (across * (rows.length + 4) > 4 * LIMIT) return list("", [data], 0);
    const line = (left, middle, right) => {
      let out = left;
      for (let i = 0; i < columns.length; i++) out += (i === 0 ? "" : middle) + repeat("─", width.get(columns[i]) + 2);
      return (widest > 0 ? out + middle + repeat("─", widest + 2) : out) + right;
    };
    const cells = (text, last) => {
      let out = "│";
      for (let i = 0; i < columns.length; i++) out += ` ${padEnd(text(columns[i]), width.get(columns[i]))} │`;
      return widest > 0 ? `${out} ${padEnd(last, widest)} │` : out;
    };
    let out = `${line("┌", "┬", "┐")}\n${cells((column) => column, VALUES)}\n${line("├", "┼", "┤")}\n`;
    for (let i = 0; i < rows.length; i++) out += `${cells((column) => rows[i].get(column) ?? "", rows[i].only ?? "")}\n`;
    return out + line("└", "┴", "┘");
  };
  const FLAT = { __proto__: null, depth: 0 };

  nexus.formatLog = formatLog;
  nexus.formatList = (args) => list("", args, 0);
  nexus.formatTable = formatTable;
  nexus.indentLines = (text, indent) => indent + replace(text, "\n", `\n${indent}`);
})
