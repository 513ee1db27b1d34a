// format_value: values as messages and names of tests show them.
// https://web-platform-tests.org/writing-tests/testharness-api.html#utility-functions

const SHORT = { "\0": "\\0", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\v": "\\v", "\f": "\\f", "\r": "\\r" };
const SPECIAL = /[\0-\x1f"\\\ufffd\ufffe\uffff]/g;

function escape(character) {
  if (character === '"' || character === "\\") return `\\${character}`;
  if (SHORT[character] !== undefined) return SHORT[character];
  const hex = character.charCodeAt(0).toString(16);
  return hex.length > 2 ? `\\u${hex}` : `\\x${hex.padStart(2, "0")}`;
}

function formatOther(value) {
  let text;
  try {
    text = String(value);
  } catch (error) {
    return `[stringifying object threw ${String(error)} with type ${typeof error}]`;
  }
  if (text.length > 1000) text = `${text.slice(0, 997)}...`;
  return `${typeof value} "${text}"`;
}

/** Shows a value, arrays with their elements. `seen` are the objects around it; tests map arrays with this, too. */
export function format_value(value, seen) {
  if (!Array.isArray(seen)) seen = [];
  switch (typeof value) {
    case "string":
      return `"${value.replace(SPECIAL, escape)}"`;
    case "number":
      return Object.is(value, -0) ? "-0" : String(value);
    case "bigint":
      return `${value}n`;
    case "boolean":
    case "undefined":
      return String(value);
    case "object":
      if (value === null) return "null";
      if (seen.includes(value)) return "[...]";
      seen.push(value);
      if (Array.isArray(value)) return `[${value.map((element) => format_value(element, seen)).join(", ")}]`;
  }
  return formatOther(value);
}

/** The most elements of an array that a message shows. */
const SHOWN = 20;

/** Shows an array, or the part of a long one around `index`. */
export function format_around(array, index) {
  const { length } = array;
  if (!Array.isArray(array) || length <= SHOWN + 1) return format_value(array);
  const end = Math.min(Math.max(index + SHOWN / 2, SHOWN), length);
  const start = end - SHOWN;
  const inner = format_value(array.slice(start, end)).slice(1, -1);
  return `[${start > 0 ? "…, " : ""}${inner}${end < length ? ", …" : ""}]`;
}
