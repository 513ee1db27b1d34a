// Blob and File. https://w3c.github.io/FileAPI/
//
// A blob is a list of parts: Uint8Arrays that no guest ever sees, so slices and blobs of blobs hold the same ones. What
// they hold is in the guest's buffers, and counted there.
(function (nexus) {
  "use strict";
  const { ops } = nexus;
  const {
    required, dictionary, domString, usvString, integer, isObject, isArrayBuffer, sequence, finishInterface,
  } = nexus.webidl;
  const { Bytes, isView, typedLength, copyBytes, rejected, now, then, resolved } = nexus.builtins;
  const { typedBuffer, typedOffset, setBytes } = nexus.builtins.clonable;
  const { replaceAll, toLowerCase } = nexus.builtins.string;
  const { exec } = nexus.builtins.regexp;
  const { convert, fixedSource, viewBytes, byteStream } = nexus.body;
  // A guest may have changed Math before this file runs.
  const min = (a, b) => (a < b ? a : b);
  const max = (a, b) => (a > b ? a : b);

  // Parts below this size are put together, up to the chunk's: each costs some hundred bytes more than it holds.
  const SMALL = 4 * 1024;
  // The chunks of a blob's stream.
  const CHUNK = 64 * 1024;
  // As `convert` of body.js has them.
  const TEXT = 0;
  const ARRAY_BUFFER = 2;
  const BYTE_ARRAY = 3;
  const INTERNAL = { __proto__: null };

  // --- parts ---

  const sizeOf = (parts) => {
    let size = 0;
    for (let i = 0; i < parts.length; i++) size += typedLength(parts[i]);
    return size;
  };

  const part = (bytes, from, length) => new Bytes(typedBuffer(bytes), typedOffset(bytes) + from, length);

  const join = (parts, from, to) => {
    let size = 0;
    for (let i = from; i < to; i++) size += typedLength(parts[i]);
    const whole = new Bytes(size);
    for (let i = from, at = 0; i < to; i++) {
      setBytes(whole, parts[i], at);
      at += typedLength(parts[i]);
    }
    return whole;
  };

  /** Collects parts: `add` what may be kept as it is, `copy` what others can change. */
  class Builder {
    parts = [];
    // Small ones that wait to be put together, and how much they are.
    small = [];
    waiting = 0;
    // The one that waits alone may be kept.
    own = false;

    flush() {
      const { small } = this;
      if (small.length === 0) return;
      this.parts[this.parts.length] = small.length === 1 && this.own ? small[0] : join(small, 0, small.length);
      small.length = this.waiting = 0;
    }
    put(bytes, own) {
      const size = typedLength(bytes);
      if (size === 0) return;
      if (size >= SMALL) {
        this.flush();
        this.parts[this.parts.length] = own ? bytes : copyBytes(bytes);
        return;
      }
      if (this.waiting + size > CHUNK) this.flush();
      this.own = own;
      this.small[this.small.length] = bytes;
      this.waiting += size;
    }
    finish() {
      this.flush();
      return this.parts;
    }
  }

  /** "Process blob parts": `items` are strings, buffers, views and blobs, and no code of the guest's runs meanwhile. */
  const processParts = (items, native) => {
    const builder = new Builder();
    let text = "";
    const flushText = () => {
      if (text !== "") builder.put(ops.utf8Encode(text), true);
      text = "";
    };
    for (let i = 0; i < items.length; i++) {
      const item = items[i];
      if (typeof item === "string") {
        text += native ? replaceAll(replaceAll(item, "\r\n", "\n"), "\r", "\n") : item;
        continue;
      }
      flushText();
      if (isBlob(item)) {
        const parts = partsOf(item);
        for (let k = 0; k < parts.length; k++) builder.put(parts[k], true);
      } else {
        builder.put(viewBytes(item), false);
      }
    }
    flushText();
    return builder.finish();
  };

  /** The parts of a stretch of a blob. */
  const sliceParts = (parts, start, end) => {
    const out = [];
    for (let i = 0, at = 0; i < parts.length && at < end; i++) {
      const length = typedLength(parts[i]);
      const from = max(start - at, 0);
      const to = min(end - at, length);
      if (from < to) out[out.length] = to - from === length ? parts[i] : part(parts[i], from, to - from);
      at += length;
    }
    return out;
  };

  /** A byte stream of copies of the parts. */
  const partsStream = (parts) => {
    let index = 0;
    let offset = 0;
    return byteStream(
      (controller) => {
        let room = -offset;
        for (let i = index; i < parts.length && room < CHUNK; i++) room += typedLength(parts[i]);
        room = max(0, min(room, CHUNK));
        const chunk = new Bytes(room);
        for (let at = 0; at < room; ) {
          const length = min(typedLength(parts[index]) - offset, room - at);
          setBytes(chunk, part(parts[index], offset, length), at);
          at += length;
          offset += length;
          if (offset === typedLength(parts[index])) {
            index++;
            offset = 0;
          }
        }
        if (room > 0) controller.enqueue(chunk);
        if (index === parts.length) controller.close();
      },
      () => {
        index = parts.length;
        parts = [];
      },
    );
  };

  // --- conversions ---

  const convertPart = (value) => {
    if (!isObject(value)) return usvString(value);
    if (isBlob(value)) return value;
    return isView(value) || isArrayBuffer(value) ? fixedSource(value) : usvString(value);
  };

  const NOT_TYPE = /[^ -~]/;
  const normalizeType = (type) => (exec(NOT_TYPE, type) === null ? toLowerCase(type) : "");

  const convertEndings = (value, what) => {
    if (value === undefined) return false;
    const endings = domString(value);
    if (endings === "transparent" || endings === "native") return endings === "native";
    throw new TypeError(`${what}: the endings "${endings}" are unknown`);
  };

  /** [Clamp] long long: rounded to the next integer, halves to the even one. */
  const clamp = (value) => {
    const x = +value;
    if (x !== x) return 0;
    const limit = 2 ** 53 - 1;
    if (x >= limit) return limit;
    if (x <= -limit) return -limit;
    const whole = x - (x % 1);
    const below = whole > x ? whole - 1 : whole;
    const rest = x - below;
    return (rest > 0.5 || (rest === 0.5 && below % 2 !== 0) ? below + 1 : below) + 0;
  };

  // --- the interfaces ---

  let isBlob, isFile, partsOf, sizeOfBlob, typeOf, setBlob, setFile, nameOf, modifiedOf;

  class Blob {
    #parts = [];
    #size = 0;
    #type = "";
    static {
      isBlob = (value) => typeof value === "object" && value !== null && #parts in value;
      partsOf = (blob) => blob.#parts;
      sizeOfBlob = (blob) => blob.#size;
      typeOf = (blob) => blob.#type;
      setBlob = (blob, parts, type) => {
        blob.#parts = parts;
        blob.#size = sizeOf(parts);
        blob.#type = type;
        return blob;
      };
    }
    constructor(blobParts = undefined, options = undefined) {
      if (blobParts === INTERNAL) return;
      const items = blobParts === undefined ? [] : sequence(blobParts, "Blob", convertPart);
      const given = dictionary(options, "Blob");
      const native = convertEndings(given.endings, "Blob");
      const { type } = given;
      const normalized = type === undefined ? "" : normalizeType(domString(type));
      setBlob(this, processParts(items, native), normalized);
    }

    get size() {
      return this.#size;
    }
    get type() {
      return this.#type;
    }
    slice(start = undefined, end = undefined, contentType = undefined) {
      const size = this.#size;
      start = start === undefined ? 0 : clamp(start);
      end = end === undefined ? size : clamp(end);
      const type = contentType === undefined ? "" : normalizeType(domString(contentType));
      start = start < 0 ? max(size + start, 0) : min(start, size);
      end = end < 0 ? max(size + end, 0) : min(end, size);
      return newBlob(start < end ? sliceParts(this.#parts, start, end) : [], type);
    }
    stream() {
      return partsStream(this.#parts);
    }
    textStream() {
      return nexus.textStream(partsStream(this.#parts));
    }
    text() {
      return read(this, TEXT);
    }
    arrayBuffer() {
      return read(this, ARRAY_BUFFER);
    }
    bytes() {
      return read(this, BYTE_ARRAY);
    }
  }

  // As a promise, also of what goes wrong. The bytes are looked at when the promise's turn comes, like a read's result.
  const read = (blob, how) => {
    let parts;
    try {
      parts = partsOf(blob);
    } catch (error) {
      return rejected(error);
    }
    return then(resolved(undefined), () => {
      if (how === TEXT && parts.length === 1) return convert(parts[0], how, null);
      return convert(join(parts, 0, parts.length), how, null);
    });
  };

  class File extends Blob {
    #name = "";
    #lastModified = 0;
    static {
      isFile = (value) => typeof value === "object" && value !== null && #name in value;
      nameOf = (file) => file.#name;
      modifiedOf = (file) => file.#lastModified;
      setFile = (file, name, lastModified) => {
        file.#name = name;
        file.#lastModified = lastModified;
        return file;
      };
    }
    constructor(fileBits, fileName, options = undefined) {
      super(INTERNAL);
      if (fileBits === INTERNAL) return;
      required(arguments.length, 2, "File");
      const items = sequence(fileBits, "File", convertPart);
      const name = usvString(fileName);
      const given = dictionary(options, "File");
      // The members that are Blob's come first.
      const native = convertEndings(given.endings, "File");
      let { type } = given;
      type = type === undefined ? "" : normalizeType(domString(type));
      let { lastModified } = given;
      lastModified = lastModified === undefined ? now() : integer(lastModified, 64, true, "File");
      setBlob(this, processParts(items, native), type);
      setFile(this, name, lastModified);
    }

    get name() {
      return this.#name;
    }
    get lastModified() {
      return this.#lastModified;
    }
  }

  finishInterface(Blob);
  finishInterface(File);

  // --- for other files ---

  const newBlob = (parts, type) => setBlob(new Blob(INTERNAL), parts, type);
  const newFile = (parts, type, name, lastModified) =>
    setFile(setBlob(new File(INTERNAL), parts, type), name, lastModified);

  nexus.isBlob = isBlob;
  nexus.isFile = isFile;
  nexus.blobParts = partsOf;
  nexus.blobSize = sizeOfBlob;
  nexus.blobType = typeOf;
  nexus.fileName = nameOf;
  nexus.fileLastModified = modifiedOf;
  /** A blob of parts that nobody else can change; the type is taken as it is. */
  nexus.newBlob = newBlob;
  nexus.newFile = newFile;
  /** The clone that a structured clone has: it holds the same parts. */
  nexus.cloneBlob = (blob) =>
    isFile(blob)
      ? newFile(partsOf(blob), typeOf(blob), nameOf(blob), modifiedOf(blob))
      : newBlob(partsOf(blob), typeOf(blob));
  nexus.partsStream = partsStream;
  nexus.partsSize = sizeOf;
  nexus.joinParts = (parts) => join(parts, 0, parts.length);
})
