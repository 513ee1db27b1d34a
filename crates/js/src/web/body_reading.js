// What of bodies is not needed by every request: reading guests' streams, clones, text streams, blobs and forms.
// https://fetch.spec.whatwg.org/#body-mixin
(function (nexus) {
  "use strict";
  const { ops } = nexus;
  const { STRING, BYTES, STREAM, PARTS, Body, streamOf, seal, toChunk, viewBytes, convert, untouched, incoming } = nexus.body;
  const { isArrayBuffer } = nexus.webidl;
  const { Bytes, capability, isView, typedLength, then } = nexus.builtins;
  const { typedBuffer, typedOffset, setBytes } = nexus.builtins.clonable;

  /**
   * A promise of `{ bytes }`, all that a stream has; it is locked from then on. Chunks are copied when they come, for
   * the guest may change them later. (The record keeps promises from looking for a `then` of the bytes.)
   */
  nexus.readStream = (stream) => {
    const { promise, resolve, reject } = capability();
    const blocks = [];
    let block = null;
    // Of the block, and in all.
    let used = 0;
    let length = 0;
    const flush = () => {
      if (used > 0) blocks[blocks.length] = new Bytes(typedBuffer(block), 0, used);
      used = 0;
    };
    nexus.pumpStream(
      nexus.getReaderInternal(stream),
      (value) => {
        const chunk = toChunk(value);
        const size = typedLength(chunk);
        if (size === 0) return;
        if (block === null || size > typedLength(block) - used) {
          flush();
          // The first chunk may be all there is.
          block = new Bytes(block === null || size > BLOCK ? size : BLOCK);
        }
        setBytes(block, chunk, used);
        used += size;
        length += size;
      },
      () => {
        if (length > 0 && blocks.length === 0 && typedLength(block) === length) {
          resolve({ __proto__: null, bytes: block });
          return;
        }
        flush();
        const bytes = new Bytes(length);
        for (let i = 0, at = 0; i < blocks.length; at += typedLength(blocks[i++])) setBytes(bytes, blocks[i], at);
        resolve({ __proto__: null, bytes });
      },
      reject,
    );
    return promise;
  };
  const BLOCK = 64 * 1024;

  /** What a consumer wants of a blob's parts, which nobody may change. */
  nexus.consumeParts = (parts, how, list) => {
    const TEXT = 0, JSON_VALUE = 1, BLOB = 4;
    if (how === BLOB) return nexus.newBlob(parts, nexus.mimeTypeOf(list));
    // Text and forms only look at the bytes.
    const own = how > JSON_VALUE && how < BLOB;
    return convert(parts.length === 1 && !own ? parts[0] : nexus.joinParts(parts), how === TEXT ? TEXT : how, list);
  };

  /** The `Blob` or the `FormData` that bytes are. */
  nexus.packageBytes = (bytes, blob, list) => {
    if (blob) return nexus.newBlob(typedLength(bytes) === 0 ? [] : [bytes], nexus.mimeTypeOf(list));
    return nexus.parseForm(bytes, list);
  };

  /** Two bodies out of one, for clone(). */
  nexus.cloneBody = (body) => {
    if (body === null) return null;
    if (body.stream === null) {
      if (body.kind === STRING || body.kind === PARTS) return new Body(body.kind, body.source);
      if (body.kind === BYTES) {
        // Whoever reads gets a copy from now on.
        body.kind = PARTS;
        body.source = typedLength(body.source) === 0 ? [] : [body.source];
        return new Body(PARTS, body.source);
      }
    }
    const branches = nexus.teeReadableStream(streamOf(body));
    body.kind = STREAM;
    body.source = body.stream = branches[0];
    return new Body(STREAM, branches[1]);
  };

  /** Moves a body into another request: the old one is read from then on. */
  nexus.takeBody = (body) => {
    const { kind, source, stream } = body;
    body.used = true;
    if (kind === STREAM) {
      // A request's body that nobody has touched stays in the host's hands.
      const id = untouched(stream);
      if (id <= 0) return new Body(STREAM, proxy(stream));
      seal(stream);
      return incoming(id);
    }
    if (stream !== null) seal(stream);
    const taken = new Body(kind, source);
    taken.keep = body.keep;
    return taken;
  };

  // A stream of what `stream` gives; that one is locked, and read from, at once.
  const proxy = (stream) => {
    const reader = nexus.getReaderInternal(stream);
    nexus.disturb(stream);
    return nexus.createReadableStream({
      __proto__: null,
      bytes: false,
      highWaterMark: 0,
      pull(controller) {
        nexus.streamPull(
          reader,
          (chunk) => controller.enqueue(chunk),
          () => controller.close(),
          (error) => controller.error(error),
        );
      },
      cancel: (reason) => nexus.cancelReaderInternal(reader, reason),
    });
  };

  /** The parts of a body as the host sends them: as one if that is not much. */
  nexus.flattenBody = (body) => {
    if (body.stream !== null || body.used) return body;
    const { source: parts } = body;
    if (parts.length > 1) {
      let size = 0;
      for (let i = 0; i < parts.length; i++) size += typedLength(parts[i]);
      if (size > 1024 * 1024) return body;
    }
    body.used = true;
    return new Body(BYTES, parts.length === 1 ? parts[0] : nexus.joinParts(parts));
  };

  // --- text streams ---

  /** How many bytes at the end are the beginning of a character. */
  const unfinished = (bytes, length) => {
    for (let back = 1; back <= 3 && back <= length; back++) {
      const byte = bytes[length - back];
      if (byte >= 0x80 && byte < 0xc0) continue;
      const size = byte >= 0xf0 && byte < 0xf5 ? 4 : byte >= 0xe0 ? (byte < 0xf0 ? 3 : 0) : byte >= 0xc2 ? 2 : 0;
      return size > back && isBeginning(bytes, length - back, back) ? back : 0;
    }
    return 0;
  };
  // Some second bytes can follow no longer: then the beginning is an error already.
  const isBeginning = (bytes, at, length) => {
    if (length < 2) return true;
    const first = bytes[at];
    const second = bytes[at + 1];
    if (first === 0xe0) return second >= 0xa0;
    if (first === 0xed) return second < 0xa0;
    if (first === 0xf0) return second >= 0x90;
    if (first === 0xf4) return second < 0x90;
    return true;
  };

  const concat = (first, second) => {
    const joined = new Bytes(typedLength(first) + typedLength(second));
    setBytes(joined, first, 0);
    setBytes(joined, second, typedLength(first));
    return joined;
  };

  /** A stream of the text that a stream of bytes is, or an empty one: what a `TextDecoderStream` would make of it. */
  nexus.textStream = (stream) => {
    const reader = stream === null ? null : nexus.getReaderInternal(stream);
    if (stream !== null) nexus.disturb(stream);
    let rest = null;
    let begun = false;
    const decode = (bytes) => {
      const text = ops.utf8Decode(bytes, begun);
      begun = true;
      return text;
    };
    // Whether there was text in it; the stream may have failed as well.
    const chunk = (controller, value) => {
      try {
        let bytes = bytesOf(value);
        if (rest !== null) bytes = concat(rest, bytes);
        const length = typedLength(bytes);
        let left = unfinished(bytes, length);
        // It may be a part of a byte order mark, so nothing has begun.
        if (!begun && length < 3 && length > 0 && bytes[0] === 0xef && (length < 2 || bytes[1] === 0xbb)) left = length;
        rest = left === 0 ? null : concat(cut(bytes, length - left, left), new Bytes(0));
        if (length === left) return false;
        const text = decode(left === 0 ? bytes : cut(bytes, 0, length - left));
        if (text === "") return false;
        controller.enqueue(text);
      } catch (error) {
        controller.error(error);
        then(nexus.cancelReaderInternal(reader, error), undefined, () => {});
      }
      return true;
    };
    const close = (controller) => {
      if (rest !== null) controller.enqueue(decode(rest));
      controller.close();
    };
    const pull = (controller) => {
      if (reader === null) {
        controller.close();
        return;
      }
      // Not by recursion: there may be any number of chunks without text.
      let looping = true;
      let again;
      do {
        again = false;
        nexus.streamPull(
          reader,
          (value) => {
            if (chunk(controller, value)) return;
            if (looping) again = true;
            else pull(controller);
          },
          () => close(controller),
          (error) => controller.error(error),
        );
      } while (again);
      looping = false;
    };
    return nexus.createReadableStream({
      __proto__: null,
      bytes: false,
      // Without a source it is closed at once.
      highWaterMark: reader === null ? 1 : 0,
      pull,
      cancel: (reason) => (reader === null ? undefined : nexus.cancelReaderInternal(reader, reason)),
    });
  };
  const cut = (bytes, from, length) => new Bytes(typedBuffer(bytes), typedOffset(bytes) + from, length);
  const bytesOf = (value) => {
    if (isView(value) || isArrayBuffer(value)) return viewBytes(value);
    throw new TypeError("a text stream's chunks must be bytes");
  };
})
