// fetch(). Fetch Standard, sections 4 and 5.6. https://fetch.spec.whatwg.org/#fetch-method
//
// What a browser does for its user's sake (CORS, cookies, a cache, an origin of its own) has no meaning here: what an app
// may reach is its host's decision, made in the host for each connection. Redirects are followed here, for each is a request
// of its own.
(function (nexus) {
  "use strict";
  const { ops } = nexus;
  const { required, usvString } = nexus.webidl;
  const { headerFind, headerGet, copyHeaders } = nexus;
  const { STRING, BYTES, STREAM, INCOMING, PARTS, BYTE_ARRAY, Body, streamOf, keepOf, seal, untouched, byteStream, convert, incoming, consume } =
    nexus.body;
  const { capability, deref, then, setPrototypeOf, typedLength, WeakRef: Weak } = nexus.builtins;
  const { parse } = JSON;
  const { Bytes } = nexus.builtins;
  const { typedBuffer, typedOffset } = nexus.builtins.clonable;
  const { exec } = nexus.builtins.regexp;
  const { slice, indexOf, startsWith, includes, charCodeAt } = nexus.builtins.string;

  const MAX_REDIRECTS = 20;

  /** An error as of `ops.fetchSend`: what failed is its cause. */
  const failure = (message, cause = undefined) =>
    new TypeError(`fetch: ${message}`, cause === undefined ? undefined : { __proto__: null, cause });

  const isRedirect = (status) => (status >= 301 && status <= 303) || status === 307 || status === 308;
  const isNullBody = (status) => status === 204 || status === 205 || status === 304;
  const isHttp = (url) => startsWith(url, "http://") || startsWith(url, "https://");
  /** The origin of a serialised http or https URL. */
  const originOf = (url) => slice(url, 0, indexOf(url, "/", 8));
  const withoutFragment = (url) => {
    const hash = indexOf(url, "#");
    return hash < 0 ? url : slice(url, 0, hash);
  };

  /** A serialised http or https URL without user name and password. */
  const withoutCredentials = (url) => {
    if (!nexus.hasCredentials(url)) return url;
    const start = indexOf(url, "//") + 2;
    return slice(url, 0, start) + slice(url, indexOf(url, "@", start) + 1);
  };

  // --- what a response's body is held by ---

  /** One exchange, from the request on until its response's body is read. The host drops it with this object. */
  class Exchange {
    constructor(signal) {
      this.id = 0;
      // Whether the body is decoded on the way to JavaScript.
      this.encoded = false;
      this.aborted = false;
      this.reason = undefined;
      this.signal = signal;
      this.onAbort = null;
      this.reject = null;
      // Stops the sending of the request's body, while a stream's is under way.
      this.stop = null;
      // Of the stream over the body, if there is one: its controller, and a piece that nobody has asked for so far.
      this.controller = null;
      this.ahead = null;
    }
  }
  setPrototypeOf(Exchange.prototype, null);

  /** Nothing of it can be aborted any more. */
  const finish = (keep) => {
    keep.controller = null;
    if (keep.onAbort !== null) nexus.removeAbortAlgorithm(keep.signal, keep.onAbort);
    keep.onAbort = null;
  };

  const stopUpload = (keep) => {
    const { stop } = keep;
    keep.stop = null;
    if (stop !== null) stop();
  };

  /** Nothing more is wanted of it: what is left of it, in either direction, ends. */
  const end = (keep) => {
    finish(keep);
    ops.bodyCancel(keep.id);
    stopUpload(keep);
  };

  /** A fetched body goes somewhere else as it comes: from here on no signal ends it. */
  const forwarded = (body) => {
    const keep = keepOf(body);
    if (keep !== undefined) finish(keep);
  };

  // What of a response's fields would be wrong of a body that is encoded in a way that they do not say.
  const OF_ENCODINGS = ["content-encoding", "content-length", "content-range", "content-digest", "repr-digest", "digest"];
  /** Whether a fetched body may go to the client of the request `id` as it came, beside these fields. */
  nexus.canForward = (id, body, source, list) => {
    if (ops.isEncoded(source)) {
      for (let i = 0; i < OF_ENCODINGS.length; i++) if (headerFind(list, OF_ENCODINGS[i]) >= 0) return false;
      if (!ops.takesEncoding(id, source)) return false;
    }
    forwarded(body);
    return true;
  };

  const abort = (keep, reason) => {
    keep.aborted = true;
    keep.reason = reason;
    ops.fetchAbort(keep.id);
    stopUpload(keep);
    const { controller } = keep;
    finish(keep);
    if (controller !== null) controller.error(reason);
  };

  /** A piece of a fetched body, null at its end: a record, so that promises do not look for a `then`. */
  class Piece {
    constructor(chunk) {
      this.chunk = chunk;
    }
  }
  setPrototypeOf(Piece.prototype, null);

  /** The next piece of a fetched body. */
  const nextPiece = async (keep) => {
    for (;;) {
      if (keep.aborted) throw keep.reason;
      let chunk;
      try {
        chunk = await ops.bodyRead(keep.id);
      } catch (error) {
        end(keep);
        throw keep.aborted ? keep.reason : error;
      }
      // An encoded body has to be asked until it gives something.
      if (chunk !== true) return new Piece(chunk);
    }
  };

  /** Reads a piece ahead of who reads: so the end, or a failure, is known before somebody asks once more. */
  const readAhead = (keep, controller) => {
    const ahead = (keep.ahead = nextPiece(keep));
    const isUnasked = () => keep.ahead === ahead && !keep.aborted;
    then(
      ahead,
      ({ chunk }) => {
        if (!isUnasked() || chunk !== null) return;
        end(keep);
        controller.close();
      },
      (error) => {
        if (isUnasked()) controller.error(error);
      },
    );
  };

  /** The stream over a fetched response's body. */
  nexus.fetchedStream = (keep) =>
    byteStream(
      async (controller) => {
        const next = keep.ahead ?? nextPiece(keep);
        keep.ahead = null;
        const { chunk } = await next;
        // The stream has its error already.
        if (keep.aborted) return;
        if (chunk !== null) {
          controller.enqueue(chunk);
          readAhead(keep, controller);
          return;
        }
        end(keep);
        controller.close();
      },
      () => {
        keep.ahead = null;
        end(keep);
      },
      (controller) => {
        keep.controller = controller;
      },
    );

  /** Reads a fetched response's body to its end, as the methods of the Body mixin do. */
  nexus.consumeFetched = (body, how, list) => {
    const { keep } = body;
    if (keep.encoded || body.stream !== null) {
      const reading = nexus.readStream(streamOf(body));
      body.used = true;
      return then(reading, (read) => convert(read.bytes, how, list));
    }
    body.used = true;
    return consumeWhole(keep, how, list);
  };
  const consumeWhole = async (keep, how, list) => {
    const TEXT = 0, JSON_VALUE = 1;
    if (keep.aborted) throw keep.reason;
    let whole;
    try {
      whole = await ops.bodyReadAll(keep.id, how <= JSON_VALUE);
    } catch (error) {
      throw keep.aborted ? keep.reason : error;
    } finally {
      end(keep);
    }
    if (how === TEXT) return whole;
    return how === JSON_VALUE ? parse(whole) : convert(whole, how, list);
  };

  // --- requests ---

  /** Sends a request's body, or has it follow: what `ops.fetchSend` wants, and the reader of a stream. */
  const outgoing = (body) => {
    if (body === null) return { value: null, length: undefined, reader: null };
    const { kind, source } = body;
    if (kind === STRING || kind === BYTES) return { value: source, length: undefined, reader: null };
    // As often as it is asked for: a redirect may want it again.
    if (kind === PARTS) {
      return { value: true, length: nexus.partsSize(source), reader: nexus.getReaderInternal(nexus.partsStream(source)) };
    }
    const number = kind === INCOMING ? source : untouched(streamOf(body));
    // Nobody would know of its encoding.
    if (number !== 0 && !ops.isEncoded(number)) {
      if (number < 0) forwarded(body);
      if (body.stream !== null) seal(body.stream);
      return { value: number, length: undefined, reader: null };
    }
    return { value: true, length: undefined, reader: nexus.getReaderInternal(streamOf(body)) };
  };

  const gone = () => new nexus.DOMException("Nobody takes the request's body any more", "AbortError");

  /** One request and its response's head: as of `ops.fetchSend`, null if it was aborted. */
  const send = (keep, method, url, list, body) => {
    keep.id = ops.fetchOpen(keep);
    const { value, length, reader } = outgoing(body);
    const sent = ops.fetchSend(keep.id, method, url, list, value, length);
    if (reader === null) return sent;
    const { promise, resolve, reject } = capability();
    const fails = (error) => {
      const failed = failure("the request's body failed", error);
      abort(keep, failed);
      reject(failed);
    };
    keep.stop = nexus.sending.send(keep.id, reader, gone, fails, () => {
      keep.stop = null;
    });
    then(sent, resolve, reject);
    return promise;
  };

  /** Of a header list all but some fields. */
  const without = (list, names) => {
    const kept = [];
    for (let i = 0; i < list.length; i += 2) {
      if (names[list[i]]) continue;
      kept[kept.length] = list[i];
      kept[kept.length] = list[i + 1];
    }
    return kept;
  };
  // "Request-body-header name".
  const OF_BODIES = {
    __proto__: null, "content-encoding": true, "content-language": true, "content-location": true, "content-type": true,
    "content-length": true,
  };
  // What one origin was told is not for another one. The standard has browsers keep cookies by themselves.
  const OF_ORIGINS = { __proto__: null, authorization: true, cookie: true, "proxy-authorization": true };

  const put = (list, name, value) => {
    if (headerFind(list, name) >= 0) return;
    list[list.length] = name;
    list[list.length] = value;
  };

  /** "Determine request's referrer", for a request to `url`. Nothing if there is none. */
  const referrerFor = (options, url) => {
    const { referrer } = options;
    // The app itself has no address to tell.
    if (referrer === "about:client" || !isHttp(referrer)) return undefined;
    const full = withoutCredentials(withoutFragment(referrer));
    const origin = `${originOf(full)}/`;
    const whole = full.length > 4096 ? origin : full;
    const same = originOf(full) === originOf(url);
    const downgrade = startsWith(full, "https:") && !startsWith(url, "https:");
    switch (options.referrerPolicy) {
      case "no-referrer":
        return undefined;
      case "unsafe-url":
        return whole;
      case "origin":
        return origin;
      case "same-origin":
        return same ? whole : undefined;
      case "strict-origin":
        return downgrade ? undefined : origin;
      case "origin-when-cross-origin":
        return same ? whole : origin;
      case "no-referrer-when-downgrade":
        return downgrade ? undefined : whole;
      default:
        return same ? whole : downgrade ? undefined : origin;
    }
  };

  /** The fields that the request's options ask for. */
  const addOptions = (list, options, url) => {
    const referrer = referrerFor(options, url);
    if (referrer !== undefined) put(list, "referer", referrer);
    if (options.cache === "no-store" || options.cache === "reload") {
      put(list, "pragma", "no-cache");
      put(list, "cache-control", "no-cache");
    } else if (options.cache === "no-cache") {
      put(list, "cache-control", "max-age=0");
    }
  };

  /** "HTTP fetch" and "HTTP-redirect fetch". */
  const httpFetch = async (made, keep) => {
    const { options } = made;
    const redirect = options === null ? "follow" : options.redirect;
    if (options !== null && options.cache === "only-if-cached") throw failure("there is no cache that could have it");
    let { method, url, body } = made;
    if (body !== null && body.kind === PARTS) body = nexus.flattenBody(body);
    let fields = made.list;
    let redirects = 0;
    for (;;) {
      let list = fields;
      if (options !== null) {
        list = copyHeaders(fields);
        addOptions(list, options, url);
      }
      let answer;
      try {
        answer = await send(keep, method, url, list, body);
      } catch (error) {
        end(keep);
        throw error;
      }
      if (keep.aborted) throw keep.reason;
      const status = answer[0];
      const received = answer[3];
      const location = isRedirect(status) && redirect !== "manual" ? locationOf(received, url, keep) : null;
      if (isRedirect(status) && redirect === "error") {
        end(keep);
        throw failure(`${originOf(url)} answers with a redirect, and the request's redirect mode is "error"`);
      }
      if (location === null) return respond(made, method, url, redirects > 0, answer, keep);

      ops.bodyCancel(keep.id);
      stopUpload(keep);
      const next = target(location, url);
      if (++redirects > MAX_REDIRECTS) throw failure(`${originOf(url)} redirects more than ${MAX_REDIRECTS} times`);
      // What is sent as it comes cannot be sent again.
      const isSource = body !== null && (body.kind === STREAM || body.kind === INCOMING);
      if (status !== 303 && isSource) throw failure("a redirect wants the request's body again, which was a stream");
      const rewrites = (status === 301 || status === 302) && method === "POST";
      if (rewrites || (status === 303 && method !== "GET" && method !== "HEAD")) {
        method = "GET";
        body = null;
        fields = without(fields, OF_BODIES);
      }
      if (originOf(next) !== originOf(url)) fields = without(fields, OF_ORIGINS);
      url = next;
    }
  };

  const HEX = "0123456789ABCDEF";
  /** A `location` as URLs have it: its bytes are those of the URL, as servers send and browsers take them. */
  const escaped = (location) => {
    let out = "";
    for (let i = 0; i < location.length; i++) {
      const code = charCodeAt(location, i);
      out += code < 128 ? location[i] : `%${HEX[code >> 4]}${HEX[code & 15]}`;
    }
    return out;
  };

  /** The field `location` of a redirect. Which of several to follow nobody could say. */
  const locationOf = (list, url, keep) => {
    let location = null;
    for (let i = 0; i < list.length; i += 2) {
      if (list[i] !== "location") continue;
      if (location !== null) {
        end(keep);
        throw failure(`${originOf(url)} redirects to several URLs at once`);
      }
      location = list[i + 1];
    }
    return location;
  };

  /** Where a redirect leads. */
  const target = (location, url) => {
    let next;
    try {
      next = nexus.urlHref(new nexus.URL(escaped(location), url));
    } catch (error) {
      throw failure(`${originOf(url)} redirects to an invalid URL`, error);
    }
    if (!isHttp(next)) throw failure(`${originOf(url)} redirects to a URL that is neither http nor https`);
    if (nexus.hasCredentials(next)) throw failure(`${originOf(url)} redirects to a URL with a user name or a password`);
    const fragment = indexOf(url, "#");
    return fragment < 0 || includes(next, "#") ? next : next + slice(url, fragment);
  };

  /** What a response has that was fetched. An object literal without a prototype would be a slow one. */
  class More {
    constructor(statusText, url, redirected) {
      this.statusText = statusText;
      this.immutable = true;
      this.type = "basic";
      this.url = url;
      this.redirected = redirected;
    }
  }
  setPrototypeOf(More.prototype, null);

  const respond = (made, method, url, redirected, answer, keep) => {
    const { 0: status, 1: statusText, 2: kind, 3: list } = answer;
    let body = null;
    if (kind === 0 || isNullBody(status)) {
      end(keep);
      if (!isNullBody(status) && method !== "HEAD") body = new Body(BYTES, new Bytes(0));
    } else {
      keep.encoded = kind === 2;
      body = incoming(keep.id, keep);
    }
    const more = new More(statusText, withoutFragment(url), redirected);
    const { options } = made;
    if (options === null || options.integrity === "") return nexus.fetchedResponse(status, list, body, more);
    return checked(options.integrity, status, list, body, more);
  };

  /** Whether bytes are what an `integrity` says. A piece a call, so that a guest can be stopped in between. */
  const matches = (bytes, integrity) => {
    const holder = { __proto__: null };
    const id = ops.integrityOpen(holder, integrity);
    for (let at = 0; at < typedLength(bytes); at += PIECE) digest(id, bytes, at);
    // The holder is to live until here.
    return ops.integrityClose(id, holder);
  };
  const digest = (id, bytes, at) => ops.integrityUpdate(id, bytes, at, PIECE);
  const PIECE = 256 * 1024;

  /** The response, if its body is what `integrity` says. */
  const checked = async (integrity, status, list, body, more) => {
    const bytes = await consume(body, BYTE_ARRAY, "fetch", list);
    if (!matches(bytes, integrity)) throw failure("the response's body is not what integrity says");
    return nexus.fetchedResponse(status, list, body === null ? null : new Body(BYTES, bytes), more);
  };

  /** "Scheme fetch" for all but http and https. */
  const schemeFetch = async (made) => {
    const { url, method } = made;
    if (startsWith(url, "data:")) {
      const data = ops.dataUrl(withoutFragment(url));
      if (data === null) throw failure("the data: URL is invalid");
      const type = nexus.parseMimeType(data[0]);
      const more = new More("OK", withoutFragment(url), false);
      const body = method === "HEAD" ? null : new Body(BYTES, data[1]);
      const list = ["content-type", type === null ? "text/plain;charset=US-ASCII" : nexus.serializeMimeType(type)];
      const { options } = made;
      if (options === null || options.integrity === "") return nexus.fetchedResponse(200, list, body, more);
      return checked(options.integrity, 200, list, body, more);
    }
    if (startsWith(url, "blob:")) return blobFetch(made);
    throw failure(`there is no fetching of ${slice(url, 0, indexOf(url, ":") + 1)} URLs`);
  };

  /** "Scheme fetch" of blob: URLs. */
  const blobFetch = (made) => {
    const { method } = made;
    const url = withoutFragment(made.url);
    const blob = method === "GET" ? nexus.blobUrls.resolve(url) : undefined;
    if (blob === undefined) throw failure(method === "GET" ? "there is no such blob: URL" : "a blob: URL takes GET only");
    const size = nexus.blobSize(blob);
    const more = new More("OK", url, false);
    const list = ["content-length", `${size}`, "content-type", nexus.blobType(blob)];
    const range = headerGet(made.list, "range");
    if (range === null) return nexus.fetchedResponse(200, list, new Body(PARTS, nexus.blobParts(blob)), more);
    // "Parse a single range header value".
    const found = exec(SINGLE_RANGE, range);
    if (found === null || (found[1] === "" && found[2] === "")) throw failure("the range is no single range of bytes");
    const from = found[1] === "" ? (+found[2] > size ? 0 : size - found[2]) : +found[1];
    const to = found[1] === "" || found[2] === "" || +found[2] >= size ? size - 1 : +found[2];
    if (from > to) throw failure("the range has no bytes of the blob");
    const bytes = nexus.joinParts(nexus.blobParts(blob));
    const part = new Bytes(typedBuffer(bytes), typedOffset(bytes) + from, to - from + 1);
    list[1] = `${to - from + 1}`;
    list[4] = "content-range";
    list[5] = `bytes ${from}-${to}/${size}`;
    more.statusText = "Partial Content";
    return nexus.fetchedResponse(206, list, new Body(PARTS, [part]), more);
  };
  const SINGLE_RANGE = /^bytes[\t ]*=[\t ]*(\d*)[\t ]*-[\t ]*(\d*)$/;

  /** What a signal does to an exchange, as long as somebody has that: a signal may live for as long as the app. */
  const abortOf = (exchange) => () => {
    const keep = deref(exchange);
    if (keep === undefined) return;
    const { reject } = keep;
    const reason = nexus.abortReason(keep.signal);
    abort(keep, reason);
    reject(reason);
  };

  /** Begins a fetch. What is thrown on the way is a rejection. */
  const start = (self, count, input, init) => {
    try {
      return begin(self, count, input, init);
    } catch (error) {
      return rejected(error);
    }
  };
  const rejected = async (error) => {
    throw error;
  };
  const begin = (self, count, input, init) => {
    nexus.checkGlobal(self);
    required(count, 1, "fetch");
    const request = nexus.isRequest(input) ? input : null;
    const from = request === null ? null : nexus.requestParts(request);
    const made = nexus.buildRequest(from === null ? usvString(input) : "", from, init);
    let { signal } = made;
    if (signal === undefined) signal = request === null ? null : nexus.requestSignal(request);
    if (signal !== null && nexus.isAborted(signal)) {
      if (made.body !== null && made.body.kind === STREAM) {
        nexus.sending.drop(nexus.getReaderInternal(made.body.source), nexus.abortReason(signal));
      }
      throw nexus.abortReason(signal);
    }
    if (!isHttp(made.url)) return schemeFetch(made);
    const keep = new Exchange(signal);
    if (signal === null) return httpFetch(made, keep);
    const { promise, resolve, reject } = capability();
    keep.reject = reject;
    keep.onAbort = abortOf(new Weak(keep));
    nexus.addAbortAlgorithm(signal, keep.onAbort);
    then(httpFetch(made, keep), resolve, (error) => {
      finish(keep);
      reject(error);
    });
    return promise;
  };

  /** For other files: the same, whatever has become of the global. */
  nexus.fetchInternal = (input, init) => start(undefined, 1, input, init);

  const { fetch } = {
    fetch(input, init = undefined) {
      return start(this, arguments.length, input, init);
    },
  };
  nexus.defineFunction("fetch", fetch);
})
