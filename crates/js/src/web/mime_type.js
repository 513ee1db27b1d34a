// MIME types. https://mimesniff.spec.whatwg.org/#parsing-a-mime-type and
// https://fetch.spec.whatwg.org/#concept-header-extract-mime-type
//
// A MIME type is `{ essence, names, parameters }`, the names in the order of the parameters.
(function (nexus) {
  "use strict";
  const { charCodeAt, slice, indexOf, toLowerCase, replaceAll } = nexus.builtins.string;
  const { exec } = nexus.builtins.regexp;
  const { SafeMap } = nexus.webidl;
  const NOT_TOKEN = /[^!#$%&'*+\-.^_\x60|~0-9A-Za-z]/;
  const NOT_QUOTABLE = /[^\t -~\x80-\xff]/;
  const QUOTE = 34, COMMA = 44, SEMICOLON = 59, EQUALS = 61, BACKSLASH = 92;

  const isToken = (text) => text !== "" && exec(NOT_TOKEN, text) === null;
  const isSpace = (code) => code === 32 || code === 9 || code === 10 || code === 13;
  const trim = (text, start = true) => {
    let from = 0;
    let to = text.length;
    while (start && from < to && isSpace(charCodeAt(text, from))) from++;
    while (to > from && isSpace(charCodeAt(text, to - 1))) to--;
    return slice(text, from, to);
  };
  /** Where `text` has this character from `at` on, or its end. */
  const endAt = (text, character, at) => {
    const found = indexOf(text, character, at);
    return found === -1 ? text.length : found;
  };

  /** "Collect an HTTP quoted string", which begins at `at`: its value, and where it ends. */
  const quotedString = (text, at) => {
    let value = "";
    at++;
    let from = at;
    for (; at < text.length; at++) {
      const code = charCodeAt(text, at);
      if (code === QUOTE) return { value: value + slice(text, from, at), end: at + 1 };
      if (code === BACKSLASH) {
        value += slice(text, from, at);
        at++;
        if (at >= text.length) return { value: `${value}\\`, end: at };
        from = at;
      }
    }
    return { value: value + slice(text, from), end: at };
  };

  const parameter = (type, name) => type.parameters.get(name) ?? null;
  const addParameter = (type, name, value) => {
    type.names[type.names.length] = name;
    type.parameters.set(name, value);
  };

  /** A MIME type, or null. */
  const parse = (input) => {
    const text = trim(input);
    const slash = indexOf(text, "/");
    if (slash === -1 || !isToken(slice(text, 0, slash))) return null;
    let at = endAt(text, ";", slash);
    const subtype = trim(slice(text, slash + 1, at), false);
    if (!isToken(subtype)) return null;
    const essence = toLowerCase(`${slice(text, 0, slash)}/${subtype}`);
    const type = { essence, names: [], parameters: new SafeMap() };
    while (at < text.length) {
      at++;
      while (at < text.length && isSpace(charCodeAt(text, at))) at++;
      const from = at;
      for (; at < text.length; at++) {
        const code = charCodeAt(text, at);
        if (code === SEMICOLON || code === EQUALS) break;
      }
      const name = toLowerCase(slice(text, from, at));
      if (at < text.length && charCodeAt(text, at) === SEMICOLON) continue;
      at++;
      if (at >= text.length) break;
      let value;
      if (charCodeAt(text, at) === QUOTE) {
        const quoted = quotedString(text, at);
        value = quoted.value;
        at = endAt(text, ";", quoted.end);
      } else {
        const end = endAt(text, ";", at);
        value = trim(slice(text, at, end), false);
        at = end;
        if (value === "") continue;
      }
      if (isToken(name) && exec(NOT_QUOTABLE, value) === null && parameter(type, name) === null) {
        addParameter(type, name, value);
      }
    }
    return type;
  };

  const serialize = (type) => {
    let text = type.essence;
    for (let i = 0; i < type.names.length; i++) {
      const value = parameter(type, type.names[i]);
      text += `;${type.names[i]}=`;
      text += isToken(value) ? value : `"${replaceAll(replaceAll(value, "\\", "\\\\"), '"', '\\"')}"`;
    }
    return text;
  };

  /** "Get, decode, and split": a field's values, at the commas outside of quoted strings. */
  const split = (field) => {
    const values = [];
    let from = 0;
    let at = 0;
    for (; at < field.length; at++) {
      const code = charCodeAt(field, at);
      if (code === QUOTE) {
        at = quotedString(field, at).end - 1;
      } else if (code === COMMA) {
        values[values.length] = slice(field, from, at);
        from = at + 1;
      }
    }
    values[values.length] = slice(field, from);
    return values;
  };

  /** "Extract a MIME type" from the value of a content-type field, or null. */
  const extract = (field) => {
    if (field === null) return null;
    const values = split(field);
    let charset = null;
    let type = null;
    for (let i = 0; i < values.length; i++) {
      const next = parse(values[i]);
      if (next === null || next.essence === "*/*") continue;
      const given = parameter(next, "charset");
      if (type === null || next.essence !== type.essence) {
        charset = given;
      } else if (given === null && charset !== null) {
        addParameter(next, "charset", charset);
      }
      type = next;
    }
    return type;
  };

  nexus.parseMimeType = parse;
  nexus.serializeMimeType = serialize;
  nexus.extractMimeType = extract;
  nexus.mimeParameter = parameter;
  /** The MIME type that a header list says, serialized; the empty string if it says none. */
  nexus.mimeTypeOf = (list) => {
    const type = extract(nexus.headerGet(list, "content-type"));
    return type === null ? "" : serialize(type);
  };
})
