// fetch(). Fetch Standard, sections 4 and 5.6. https://fetch.spec.whatwg.org/#fetch-method
//
// What a browser does for its user's sake (CORS, cookies, a cache, an origin of its own) has no meaning here: what an app
// may reach is its host's decision, made in the host for each connection. Redirects are followed here, for each is a request
// of its own.
(function (nexus) {
  "use strict";
  const { ops } = nexus;
  const { required, usvString } = nexus.webidl;
  const { headerFind, copyHeaders } = nexus;
  const { failure, withoutFragment, More, Exchange, finish, stopUpload, end, forwarded, abort } = nexus.fetched;
  const { STRING, BYTES, STREAM, INCOMING, PARTS, Body, streamOf, seal, untouched, incoming } = nexus.body;
  const { capability, deref, then, Bytes, WeakRef: Weak } = nexus.builtins;
  const { slice, indexOf, startsWith, includes, charCodeAt } = nexus.builtins.string;

  const MAX_REDIRECTS = 20;

  const isRedirect = (status) => (status >= 301 && status <= 303) || status === 307 || status === 308;
  const isNullBody = (status) => status === 204 || status === 205 || status === 304;
  const isHttp = (url) => startsWith(url, "http://") || startsWith(url, "https://");
  /** The origin of a serialised http or https URL. */
  const originOf = (url) => slice(url, 0, indexOf(url, "/", 8));

  /** A serialised http or https URL without user name and password. */
  const withoutCredentials = (url) => {
    if (!nexus.hasCredentials(url)) return url;
    const start = indexOf(url, "//") + 2;
    return slice(url, 0, start) + slice(url, indexOf(url, "@", start) + 1);
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
    keep.id = ops.fetchOpen(keep, keep.through);
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
    return nexus.withIntegrity(options.integrity, status, list, body, more);
  };

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
  const start = (through, count, input, init) => {
    try {
      return begin(through, count, input, init);
    } catch (error) {
      return rejected(error);
    }
  };
  const rejected = async (error) => {
    throw error;
  };
  const begin = (through, count, input, init) => {
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
    if (!isHttp(made.url)) {
      if (through >= 0) throw failure("an app is asked by a URL of http or https");
      return nexus.schemeFetch(made);
    }
    const keep = new Exchange(signal, through);
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
  nexus.fetchInternal = (input, init) => start(-1, 1, input, init);
  /** The same, where a binding's app answers. */
  nexus.fetchThrough = start;

  const { fetch } = {
    fetch(input, init = undefined) {
      try {
        nexus.checkGlobal(this);
      } catch (error) {
        return rejected(error);
      }
      return start(-1, arguments.length, input, init);
    },
  };
  nexus.defineFunction("fetch", fetch);
})
