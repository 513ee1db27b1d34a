// multipart/form-data, in and out, and application/x-www-form-urlencoded in.
// https://fetch.spec.whatwg.org/#dom-body-formdata, RFC 7578, and
// https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#multipart-form-data
//
// The grammar is the one that the Fetch Standard is about to have, https://github.com/whatwg/fetch/pull/1922, and the web
// platform tests ask for: no preamble, lines that end with CRLF, percent signs in names left as they are.
(function (nexus) {
  "use strict";
  const { ops } = nexus;
  const { Bytes, typedLength } = nexus.builtins;
  const { typedBuffer, typedOffset } = nexus.builtins.clonable;
  const { charCodeAt, slice, indexOf, replaceAll, toLowerCase, includes } = nexus.builtins.string;
  const { exec } = nexus.builtins.regexp;
  const CR = 13, LF = 10, DASH = 45, SPACE = 32, TAB = 9;
  const NOT_TOKEN = /[^!#$%&'*+\-.^_\x60|~0-9A-Za-z]/;

  // --- out ---

  const newlines = (text) => {
    if (!includes(text, "\r") && !includes(text, "\n")) return text;
    return replaceAll(replaceAll(replaceAll(text, "\r\n", "\n"), "\r", "\n"), "\n", "\r\n");
  };
  const escape = (text) => replaceAll(replaceAll(replaceAll(text, "\n", "%0A"), "\r", "%0D"), '"', "%22");

  /** A form as `{ parts, boundary }`: the parts of a blob, its files' among them as they are. */
  nexus.serializeMultipart = (form) => {
    const list = nexus.formDataList(form);
    const boundary = `----formdata-nexus-${ops.formBoundary()}`;
    const parts = [];
    let text = "";
    const flush = () => {
      parts[parts.length] = ops.utf8Encode(text);
      text = "";
    };
    for (let i = 0; i < list.length; i += 2) {
      const value = list[i + 1];
      text += `--${boundary}\r\nContent-Disposition: form-data; name="${escape(newlines(list[i]))}"`;
      if (typeof value === "string") {
        text += `\r\n\r\n${newlines(value)}\r\n`;
        continue;
      }
      const type = nexus.blobType(value) || "application/octet-stream";
      text += `; filename="${escape(nexus.fileName(value))}"\r\nContent-Type: ${type}\r\n\r\n`;
      flush();
      const bytes = nexus.blobParts(value);
      for (let k = 0; k < bytes.length; k++) parts[parts.length] = bytes[k];
      text += "\r\n";
    }
    text += `--${boundary}--\r\n`;
    flush();
    return { parts, boundary };
  };

  // --- in ---

  const fail = (message) => new TypeError(`formData: ${message}`);
  const part = (bytes, from, to) => new Bytes(typedBuffer(bytes), typedOffset(bytes) + from, to - from);
  const decode = (bytes, from, to) => (from === to ? "" : ops.utf8Decode(part(bytes, from, to), true));

  const startsWith = (bytes, needle, at) => {
    const length = typedLength(needle);
    if (at + length > typedLength(bytes)) return false;
    for (let i = 0; i < length; i++) if (bytes[at + i] !== needle[i]) return false;
    return true;
  };

  /**
   * Where `needle` is from `at` on, or -1. It begins with CR LF - - and has no other CR (a boundary cannot have one):
   * so four bytes can be passed over at once, and what was compared once is not compared again.
   */
  const find = (bytes, needle, at) => {
    const last = typedLength(bytes) - typedLength(needle);
    while (at <= last) {
      const fourth = bytes[at + 3];
      if (fourth !== DASH) at += fourth === CR ? 3 : fourth === LF ? 2 : 4;
      else if (bytes[at] !== CR || bytes[at + 1] !== LF || bytes[at + 2] !== DASH) at++;
      else if (startsWith(bytes, needle, at)) return at;
      else at += 4;
    }
    return -1;
  };
  /** Where the next empty line is (its CR LF, with the one before it), or -1. */
  const findEmptyLine = (bytes, at) => {
    const last = typedLength(bytes) - 4;
    while (at <= last) {
      const fourth = bytes[at + 3];
      if (fourth === LF && bytes[at] === CR && bytes[at + 1] === LF && bytes[at + 2] === CR) return at;
      at += fourth === LF ? 2 : fourth === CR ? 1 : 4;
    }
    return -1;
  };

  const isPadding = (code) => code === SPACE || code === TAB;
  const trim = (text) => {
    let from = 0;
    let to = text.length;
    while (from < to && isPadding(charCodeAt(text, from))) from++;
    while (to > from && isPadding(charCodeAt(text, to - 1))) to--;
    return slice(text, from, to);
  };

  /** `form-data; name="…"; filename="…"` as `{ name, filename }`, null for what is missing. */
  const parseDisposition = (value) => {
    let at = indexOf(value, ";");
    if (at === -1) at = value.length;
    if (toLowerCase(trim(slice(value, 0, at))) !== "form-data") throw fail("a part is no form-data");
    let name = null;
    let filename = null;
    while (at < value.length) {
      // At a semicolon.
      const equals = indexOf(value, "=", at);
      if (equals === -1) {
        if (trim(slice(value, at + 1)) !== "") throw fail("a part's content-disposition is malformed");
        break;
      }
      const key = toLowerCase(trim(slice(value, at + 1, equals)));
      if (includes(key, ";") || includes(key, '"')) throw fail("a part's content-disposition is malformed");
      let from = equals + 1;
      while (from < value.length && isPadding(charCodeAt(value, from))) from++;
      let text;
      if (value[from] === '"') {
        const end = indexOf(value, '"', from + 1);
        if (end === -1) throw fail("a quoted name is not closed");
        text = slice(value, from + 1, end);
        at = end + 1;
        while (at < value.length && isPadding(charCodeAt(value, at))) at++;
        if (at < value.length && value[at] !== ";") throw fail("a part's content-disposition is malformed");
      } else {
        at = indexOf(value, ";", from);
        if (at === -1) at = value.length;
        text = trim(slice(value, from, at));
      }
      if (key === "name") name ??= text;
      else if (key === "filename") filename ??= text;
    }
    return { name, filename };
  };

  /** A part's header lines: `{ name, filename, type }`. */
  const parseHead = (text) => {
    let name = null;
    let filename = null;
    let type = null;
    if (includes(text, "\0")) throw fail("a part's header has a NUL");
    for (let from = 0; from < text.length; ) {
      let end = indexOf(text, "\r\n", from);
      if (end === -1) end = text.length;
      const line = slice(text, from, end);
      from = end + 2;
      if (includes(line, "\n") || includes(line, "\r")) throw fail("a part's header has a bare line break");
      const colon = indexOf(line, ":");
      const field = trim(slice(line, 0, colon === -1 ? 0 : colon));
      if (field === "" || exec(NOT_TOKEN, field) !== null) throw fail("a part's header is malformed");
      const value = trim(slice(line, colon + 1));
      const key = toLowerCase(field);
      if (key === "content-disposition") {
        const disposition = parseDisposition(value);
        name = disposition.name;
        filename = disposition.filename;
      } else if (key === "content-type") {
        // Of several the last valid one counts.
        const parsed = nexus.extractMimeType(value);
        type = parsed === null ? (type ?? "") : nexus.serializeMimeType(parsed);
      }
    }
    if (name === null) throw fail("a part has no name");
    return { name, filename, type };
  };

  /** After a delimiter, past spaces and tabs: the position of the next byte. */
  const skipPadding = (bytes, at) => {
    while (at < typedLength(bytes) && isPadding(bytes[at])) at++;
    return at;
  };
  const isLineEnd = (bytes, at) => bytes[at] === CR && bytes[at + 1] === LF;

  const parseMultipart = (bytes, boundary) => {
    const delimiter = ops.utf8Encode(`\r\n--${boundary}`);
    const length = typedLength(delimiter);
    const list = [];
    if (!startsWith(bytes, part(delimiter, 2, length), 0)) throw fail("the body does not begin with the boundary");
    for (let at = length - 2; ; ) {
      // After a delimiter.
      if (bytes[at] === DASH && bytes[at + 1] === DASH) {
        at = skipPadding(bytes, at + 2);
        if (at < typedLength(bytes) && !isLineEnd(bytes, at)) throw fail("the last boundary's line is malformed");
        return list;
      }
      at = skipPadding(bytes, at);
      if (!isLineEnd(bytes, at)) throw fail("a boundary's line is malformed");
      // A part without a header has its empty line at once, and no name.
      const head = at + 2;
      const headEnd = findEmptyLine(bytes, at);
      if (headEnd === -1) throw fail("a part's header does not end");
      const { name, filename, type } = parseHead(headEnd < head ? "" : decode(bytes, head, headEnd));
      const from = headEnd + 4;
      const to = find(bytes, delimiter, from);
      if (to === -1) throw fail("the last boundary is missing");
      list[list.length] = name;
      if (filename === null) {
        list[list.length] = decode(bytes, from, to);
      } else {
        const contents = from === to ? [] : [part(bytes, from, to)];
        list[list.length] = nexus.newFile(contents, type ?? "text/plain", filename, 0);
      }
      at = to + length;
    }
  };

  /** The form that a body's bytes are, by the content type of its header list; the bytes become its own. */
  nexus.parseForm = (bytes, headers) => {
    const type = nexus.extractMimeType(nexus.headerGet(headers, "content-type"));
    if (type !== null && type.essence === "multipart/form-data") {
      const boundary = nexus.mimeParameter(type, "boundary");
      if (boundary === null || boundary === "") throw fail("the content type has no boundary");
      return nexus.newFormData(parseMultipart(bytes, boundary));
    }
    if (type !== null && type.essence === "application/x-www-form-urlencoded") {
      return nexus.newFormData(nexus.parseUrlEncoded(ops.utf8Decode(bytes, true)));
    }
    throw fail("the content type is neither multipart/form-data nor application/x-www-form-urlencoded");
  };
})
