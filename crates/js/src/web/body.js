// Bodies of requests and responses. Fetch Standard, sections 2.2.4, 5.2 and 5.3. https://fetch.spec.whatwg.org/#bodies
//
// A body stays what it was made from (a string, bytes, a blob's parts, the request that the host holds) until somebody
// asks for its stream: most never do. What few need is in body_reading.js, what fetched ones need in fetched.js.
(function (nexus) {
  "use strict";
  const { ops } = nexus;
  const { isObject, usvString, isArrayBuffer, uncurryThis } = nexus.webidl;
  const {
    isView, viewTag, typedLength, detached, copyBytes, bufferLength, Bytes, then, defineProperty, getOwnPropertyDescriptor,
    ownKeys, setPrototypeOf,
  } = nexus.builtins;
  const { typedBuffer, typedOffset, typedBytes, dataBuffer, dataOffset, dataBytes, isResizable } = nexus.builtins.clonable;
  const { charCodeAt, slice: sliceString } = nexus.builtins.string;
  const { parse } = JSON;
  const mapGet = uncurryThis(WeakMap.prototype.get);
  const mapSet = uncurryThis(WeakMap.prototype.set);
  const reject = Promise.reject.bind(Promise);

  const STRING = 1;
  const BYTES = 2;
  const STREAM = 3;
  const INCOMING = 4;
  // A blob's parts: bytes that are others' as well, and that nobody may change.
  const PARTS = 5;

  // How a consumer wants the bytes.
  const TEXT = 0;
  const JSON_VALUE = 1;
  const ARRAY_BUFFER = 2;
  const BYTE_ARRAY = 3;
  const BLOB = 4;
  const FORM_DATA = 5;

  // Nothing is one before its file has run.
  nexus.isBlob = nexus.isFormData = () => false;

  class Body {
    constructor(kind, source) {
      this.kind = kind;
      this.source = source;
      this.stream = kind === STREAM ? source : null;
      this.used = false;
      // Of a fetched response's: what it is held by. See fetched.js.
      this.keep = null;
    }
  }
  // Setters that a guest puts into Object.prototype are not for them.
  setPrototypeOf(Body.prototype, null);

  const isPlatformObject = (value) =>
    nexus.isReadableStream(value) || nexus.isBlob(value) || nexus.isURLSearchParams(value) || nexus.isFormData(value);

  /** Web IDL's BufferSource: no buffer that can change its size, and no view of one. Gives `value`. */
  const fixedSource = (value) => {
    const buffer = !isView(value) ? value : viewTag(value) === undefined ? dataBuffer(value) : typedBuffer(value);
    if (isResizable(buffer)) throw new TypeError("the ArrayBuffer must not be resizable");
    return value;
  };

  /** Web IDL's conversion to BodyInit: one of the objects that it names, or a string. */
  const convertInit = (value) => {
    if (!isObject(value)) return usvString(value);
    if (isView(value)) return fixedSource(value);
    if (isPlatformObject(value)) return value;
    return isArrayBuffer(value) ? fixedSource(value) : usvString(value);
  };

  /** The bytes of a buffer or a view on the same memory; none if it is detached. */
  const viewBytes = (value) => {
    if (!isView(value)) return detached(value) ? new Bytes(0) : new Bytes(value);
    const typed = viewTag(value) !== undefined;
    const buffer = typed ? typedBuffer(value) : dataBuffer(value);
    if (detached(buffer)) return new Bytes(0);
    if (typed) return new Bytes(buffer, typedOffset(value), typedBytes(value));
    return new Bytes(buffer, dataOffset(value), dataBytes(value));
  };

  /** The body of what `convertInit` gave, and the content type that it brings along (or null). */
  const extract = (init, what, keepalive = false) => {
    if (typeof init === "string") return { body: new Body(STRING, init), type: "text/plain;charset=UTF-8" };
    if (isView(init)) return { body: new Body(BYTES, copyBytes(viewBytes(init))), type: null };
    if (nexus.isReadableStream(init)) {
      if (keepalive) throw new TypeError(`${what}: with keepalive, the body cannot be a stream`);
      if (nexus.readableStreamDisturbed(init) || nexus.readableStreamLocked(init)) {
        throw new TypeError(`${what}: the stream is locked or was read already`);
      }
      return { body: new Body(STREAM, init), type: null };
    }
    if (nexus.isURLSearchParams(init)) {
      return {
        body: new Body(STRING, nexus.serializeURLSearchParams(init)),
        type: "application/x-www-form-urlencoded;charset=UTF-8",
      };
    }
    if (nexus.isBlob(init)) return { body: new Body(PARTS, nexus.blobParts(init)), type: nexus.blobType(init) || null };
    if (nexus.isFormData(init)) {
      const { parts, boundary } = nexus.serializeMultipart(init);
      return { body: new Body(PARTS, parts), type: `multipart/form-data; boundary=${boundary}` };
    }
    return { body: new Body(BYTES, copyBytes(viewBytes(init))), type: null };
  };

  /** The body of a string, which may have surrogates without another: they are replaced when it is read or sent. */
  const ofString = (string) => new Body(STRING, string);

  /** The body of the request that the host holds under `id`, or (below 0) of a response. */
  const incoming = (id, keep = null) => {
    const body = new Body(INCOMING, id);
    body.keep = keep;
    return body;
  };

  // Of streams over a body that the host holds: its number, or what holds a fetched one.
  const requests = new WeakMap();

  /** The number of the body that this stream is of, while nobody has read from it; else 0. */
  const untouched = (stream) => {
    const id = mapGet(requests, stream);
    if (id === undefined || nexus.readableStreamDisturbed(stream) || nexus.readableStreamLocked(stream)) return 0;
    return typeof id === "object" ? id.id : id;
  };

  /** What holds a fetched body, as a body or as the stream over it. */
  const keepOf = (body) => body.keep ?? mapGet(requests, body.stream);

  const byteStream = (pull, cancel, start = undefined) =>
    nexus.createReadableStream({ __proto__: null, bytes: true, highWaterMark: 0, start, pull, cancel });

  const incomingStream = (id) =>
    byteStream(
      async (controller) => {
        const chunk = await ops.bodyRead(id);
        if (chunk === null) controller.close();
        else controller.enqueue(chunk);
      },
      () => {
        ops.bodyCancel(id);
      },
    );

  const bytesStream = (source) =>
    byteStream(
      (controller) => {
        const bytes = typeof source === "string" ? ops.utf8Encode(source) : source;
        if (typedLength(bytes) > 0) controller.enqueue(bytes);
        controller.close();
      },
      () => {},
    );

  /** The body's stream, made on first use. */
  const streamOf = (body) => {
    if (body.stream !== null) return body.stream;
    const { kind, source } = body;
    if (kind === INCOMING) {
      body.stream = body.keep === null ? incomingStream(source) : nexus.fetchedStream(body.keep);
      mapSet(requests, body.stream, body.keep ?? source);
    } else {
      body.stream = kind === PARTS ? nexus.partsStream(source) : bytesStream(source);
    }
    if (body.used) seal(body.stream);
    return body.stream;
  };

  /** What a stream is whose bytes went elsewhere: read from, and locked for good. */
  const seal = (stream) => {
    nexus.getReaderInternal(stream);
    nexus.disturb(stream);
  };

  const isUsed = (body) =>
    body !== null && (body.used || (body.stream !== null && nexus.readableStreamDisturbed(body.stream)));
  /** The error for a body that is one of the two. */
  const unusable = (what) => new TypeError(`${what}: the body was read already, or is locked`);
  const isLocked = (body) => body !== null && body.stream !== null && nexus.readableStreamLocked(body.stream);

  /** A chunk of a body's stream; anything but bytes is the guest's mistake. */
  const toChunk = (value) => {
    if (viewTag(value) === "Uint8Array") return value;
    throw new TypeError(`a body's stream must give Uint8Array chunks, not ${value === null ? "null" : typeof value}`);
  };

  /** What a consumer wants of bytes that are its own from here on. `list` is the header list. */
  const convert = (bytes, how, list) => {
    if (how === TEXT) return ops.utf8Decode(bytes);
    if (how === JSON_VALUE) return parse(ops.utf8Decode(bytes));
    if (how > BYTE_ARRAY) return nexus.packageBytes(bytes, how === BLOB, list);
    const buffer = typedBuffer(bytes);
    const whole = typedLength(bytes) === bufferLength(buffer) ? bytes : copyBytes(bytes);
    return how === ARRAY_BUFFER ? typedBuffer(whole) : whole;
  };

  /** Reads a body to its end, as the methods of the Body mixin do. Gives a promise. */
  const consume = (body, how, what, list) => {
    if (body === null) return consumeNow(new Bytes(0), how, list);
    if (isUsed(body) || isLocked(body)) return reject(unusable(what));
    const { kind, source, stream } = body;
    if (body.keep !== null) return nexus.consumeFetched(body, how, list);
    body.used = true;
    if (kind === STREAM) return consumeStream(stream, how, list);
    // Nobody has read from it: what it was made from is still there.
    if (stream !== null) seal(stream);
    if (kind === INCOMING) return consumeIncoming(source, how, list);
    if (kind === STRING && how <= JSON_VALUE) return consumeText(source, how);
    return consumeSource(kind, source, how, list);
  };
  // As if it were encoded and decoded: "UTF-8 decode" drops a byte order mark.
  const withoutMark = (text) => {
    const string = usvString(text);
    return charCodeAt(string, 0) === 0xfeff ? sliceString(string, 1) : string;
  };
  const consumeNow = async (bytes, how, list) => convert(bytes, how, list);
  const consumeText = async (text, how) => (how === TEXT ? withoutMark(text) : parse(withoutMark(text)));
  const consumeSource = async (kind, source, how, list) => {
    if (kind === PARTS) return nexus.consumeParts(source, how, list);
    return convert(kind === STRING ? ops.utf8Encode(source) : source, how, list);
  };
  const consumeStream = (stream, how, list) => {
    const id = untouched(stream);
    if (id <= 0) return then(nexus.readStream(stream), (read) => convert(read.bytes, how, list));
    // A request's, which the host reads as a whole.
    seal(stream);
    return consumeIncoming(id, how, list);
  };
  const consumeIncoming = async (id, how, list) => {
    let whole = ops.bodyReadAll(id, how <= JSON_VALUE);
    // Of a body that was there already, it is no promise.
    if (typeof whole !== "string" && !isView(whole)) whole = await whole;
    if (how === TEXT) return whole;
    if (how === JSON_VALUE) return parse(whole);
    return convert(whole, how, list);
  };

  nexus.body = {
    STRING, BYTES, STREAM, INCOMING, PARTS, BYTE_ARRAY, Body, convertInit, fixedSource, viewBytes, extract, ofString,
    incoming, streamOf, keepOf, isUsed, isLocked, unusable, seal, consume, convert, toChunk, untouched, byteStream,
  };

  /** Adds the Body mixin to a class; `bodyOf` checks the brand and gives the body or null, `listOf` the header list. */
  nexus.mixinBody = (Class, bodyOf, listOf) => {
    const name = Class.name;
    const methods = {
      get body() {
        const body = bodyOf(this);
        return body === null ? null : streamOf(body);
      },
      get bodyUsed() {
        return isUsed(bodyOf(this));
      },
      arrayBuffer() {
        return consumeChecked(this, ARRAY_BUFFER, "arrayBuffer");
      },
      blob() {
        return consumeChecked(this, BLOB, "blob");
      },
      bytes() {
        return consumeChecked(this, BYTE_ARRAY, "bytes");
      },
      formData() {
        return consumeChecked(this, FORM_DATA, "formData");
      },
      json() {
        return consumeChecked(this, JSON_VALUE, "json");
      },
      text() {
        return consumeChecked(this, TEXT, "text");
      },
      textStream() {
        const body = bodyOf(this);
        if (isUsed(body) || isLocked(body)) throw unusable(`${name}.textStream`);
        return nexus.textStream(body === null ? null : streamOf(body));
      },
    };
    // A wrong receiver is a rejection, for these methods give promises.
    const consumeChecked = (self, how, method) => {
      let body;
      try {
        body = bodyOf(self);
      } catch (error) {
        return reject(error);
      }
      return consume(body, how, `${name}.${method}`, how > BYTE_ARRAY ? listOf(self) : null);
    };
    const keys = ownKeys(methods);
    for (let i = 0; i < keys.length; i++) {
      defineProperty(Class.prototype, keys[i], getOwnPropertyDescriptor(methods, keys[i]));
    }
  };
})
