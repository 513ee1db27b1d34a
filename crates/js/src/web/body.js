// Bodies of requests and responses. Fetch Standard, sections 2.2.4 and 5.2 to 5.3. https://fetch.spec.whatwg.org/#bodies
//
// A body stays what it was made from (a string, bytes, the request that the host holds) until somebody asks for
// its stream: most never do.
(function (nexus) {
  "use strict";
  const { ops } = nexus;
  const { isObject, bufferSource, usvString, isArrayBuffer, uncurryThis } = nexus.webidl;
  const { isView } = ArrayBuffer;
  const { parse } = JSON;
  const Bytes = Uint8Array;
  const sliceBytes = uncurryThis(Bytes.prototype.slice);
  const setBytes = uncurryThis(Bytes.prototype.set);
  const bufferOf = nexus.webidl.getter(Object.getPrototypeOf(Bytes).prototype, "buffer");
  const charCodeAt = uncurryThis(String.prototype.charCodeAt);
  const sliceString = uncurryThis(String.prototype.slice);
  const mapGet = uncurryThis(WeakMap.prototype.get);
  const mapSet = uncurryThis(WeakMap.prototype.set);
  const resolve = Promise.resolve.bind(Promise);
  const reject = Promise.reject.bind(Promise);

  const STRING = 1;
  const BYTES = 2;
  const STREAM = 3;
  const INCOMING = 4;

  // How a consumer wants the bytes.
  const TEXT = 0;
  const JSON_VALUE = 1;
  const ARRAY_BUFFER = 2;
  const BYTE_ARRAY = 3;

  class Body {
    constructor(kind, source) {
      this.kind = kind;
      this.source = source;
      this.stream = kind === STREAM ? source : null;
      this.used = false;
    }
  }

  /** The body of a value of type BodyInit, and the content type that it brings along (or null). */
  const extract = (init, what) => {
    if (typeof init === "string") return { body: new Body(STRING, init), type: "text/plain;charset=UTF-8" };
    if (isObject(init)) {
      if (isView(init) || isArrayBuffer(init)) {
        return { body: new Body(BYTES, sliceBytes(bufferSource(init, what))), type: null };
      }
      if (nexus.isReadableStream(init)) {
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
    }
    return { body: new Body(STRING, usvString(init)), type: "text/plain;charset=UTF-8" };
  };

  /** The body of a string. */
  const ofString = (string) => new Body(STRING, string);

  /** The body of the request that the host holds under `id`. */
  const incoming = (id) => new Body(INCOMING, id);

  // Of streams over a request's body: the number of that request.
  const requests = new WeakMap();

  /** The number of the request whose body this stream is, while nobody has read from it; else 0. */
  const untouched = (stream) => {
    const id = mapGet(requests, stream);
    return id === undefined || nexus.readableStreamDisturbed(stream) || nexus.readableStreamLocked(stream) ? 0 : id;
  };

  /** The body's stream, made on first use. */
  const streamOf = (body) => {
    if (body.stream !== null) return body.stream;
    const { kind, source } = body;
    if (kind === INCOMING) {
      body.stream = nexus.createReadableStream({
        bytes: true,
        highWaterMark: 0,
        pull: async (controller) => {
          const chunk = await ops.bodyRead(source);
          if (chunk === null) controller.close();
          else controller.enqueue(chunk);
        },
        cancel: () => {
          ops.bodyCancel(source);
        },
      });
      mapSet(requests, body.stream, source);
    } else {
      body.stream = nexus.createReadableStream({
        bytes: true,
        highWaterMark: 0,
        pull: (controller) => {
          const bytes = kind === STRING ? ops.utf8Encode(source) : source;
          if (bytes.length > 0) controller.enqueue(bytes);
          controller.close();
        },
        cancel: () => {},
      });
    }
    if (body.used) nexus.disturb?.(body.stream);
    return body.stream;
  };

  const isUsed = (body) => body !== null && (body.used || (body.stream !== null && nexus.readableStreamDisturbed(body.stream)));
  const isLocked = (body) => body !== null && body.stream !== null && nexus.readableStreamLocked(body.stream);

  const collect = async (stream) => {
    const reader = nexus.getReaderInternal(stream);
    const chunks = [];
    let length = 0;
    for (;;) {
      const { done, value } = await nexus.readInternal(reader);
      if (done) break;
      const chunk = toChunk(value);
      chunks[chunks.length] = chunk;
      length += chunk.length;
    }
    if (chunks.length === 1) return chunks[0];
    const whole = new Bytes(length);
    for (let i = 0, at = 0; i < chunks.length; i++) {
      setBytes(whole, chunks[i], at);
      at += chunks[i].length;
    }
    return whole;
  };

  /** A chunk of a body's stream as bytes; anything else is the guest's mistake. */
  const toChunk = (value) => {
    if (isView(value) || isArrayBuffer(value)) return bufferSource(value, "body");
    throw new TypeError(`a body's stream must give Uint8Array chunks, not ${value === null ? "null" : typeof value}`);
  };

  // The bytes are the consumer's own here; a view of a larger buffer is cut out.
  const convert = (bytes, how) => {
    if (how === TEXT) return ops.utf8Decode(bytes);
    if (how === JSON_VALUE) return parse(ops.utf8Decode(bytes));
    const whole = bytes.byteOffset === 0 && bytes.length === bufferOf(bytes).byteLength ? bytes : sliceBytes(bytes);
    return how === ARRAY_BUFFER ? bufferOf(whole) : whole;
  };

  /** Reads a body to its end, as the methods of the Body mixin do. Gives a promise. */
  const consume = (body, how, what) => {
    if (body === null) return how === TEXT ? resolve("") : consumeNow(new Bytes(0), how);
    if (isUsed(body) || isLocked(body)) return reject(new TypeError(`${what}: the body was read already, or is locked`));
    if (body.stream !== null) {
      body.used = true;
      return consumeStream(body.stream, how);
    }
    body.used = true;
    const { kind, source } = body;
    if (kind === INCOMING) return consumeIncoming(source, how);
    if (kind === STRING) {
      if (how === TEXT) return resolve(withoutMark(usvString(source)));
      if (how === JSON_VALUE) return consumeText(withoutMark(source));
      return consumeNow(ops.utf8Encode(source), how);
    }
    return consumeNow(source, how);
  };
  // "UTF-8 decode" drops a byte order mark.
  const withoutMark = (text) => (charCodeAt(text, 0) === 0xfeff ? sliceString(text, 1) : text);
  const consumeNow = async (bytes, how) => convert(bytes, how);
  const consumeText = async (text) => parse(text);
  const consumeStream = async (stream, how) => convert(await collect(stream), how);
  const consumeIncoming = async (id, how) => {
    const whole = await ops.bodyReadAll(id, how <= JSON_VALUE);
    if (how === TEXT) return whole;
    if (how === JSON_VALUE) return parse(whole);
    return how === ARRAY_BUFFER ? bufferOf(whole) : whole;
  };

  /** Two bodies out of one, for clone(). */
  const clone = (body) => {
    if (body === null) return null;
    if (body.stream === null && body.kind === STRING) return new Body(STRING, body.source);
    // Whoever reads gets these very bytes, and may change them.
    if (body.stream === null && body.kind === BYTES) return new Body(BYTES, sliceBytes(body.source));
    const [first, second] = nexus.teeReadableStream(streamOf(body));
    body.kind = STREAM;
    body.source = first;
    body.stream = first;
    return new Body(STREAM, second);
  };

  /** Moves a body into another request: the old one is read from then on. */
  const take = (body) => {
    const moved = new Body(body.kind, body.source);
    moved.stream = body.stream;
    body.used = true;
    body.kind = STRING;
    body.source = "";
    body.stream = null;
    return moved;
  };

  nexus.body = { STRING, BYTES, STREAM, INCOMING, extract, ofString, incoming, streamOf, isUsed, isLocked, consume, clone, take, toChunk, untouched };

  /** Adds the Body mixin to a class; `bodyOf` checks the brand and gives the body or null. */
  nexus.mixinBody = (Class, bodyOf) => {
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
      bytes() {
        return consumeChecked(this, BYTE_ARRAY, "bytes");
      },
      json() {
        return consumeChecked(this, JSON_VALUE, "json");
      },
      text() {
        return consumeChecked(this, TEXT, "text");
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
      return consume(body, how, `${name}.${method}`);
    };
    Object.defineProperties(Class.prototype, Object.getOwnPropertyDescriptors(methods));
  };
})
