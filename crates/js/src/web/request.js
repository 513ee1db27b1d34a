// Request. Fetch Standard, section 5.4. https://fetch.spec.whatwg.org/#request-class
//
// The request that a handler gets is made for each request that the host serves: it holds the host's number, and
// its headers, body and signal come into being when they are asked for.
(function (nexus) {
  "use strict";
  const { ops } = nexus;
  const { ownKeys } = Reflect;
  const { required, dictionary, domString, byteString, isObject, finishInterface, uncurryThis } = nexus.webidl;
  const { makeHeaders, headersList, fillHeaders, headerFind, copyHeaders } = nexus;
  const { body: bodies } = nexus;
  const test = uncurryThis(RegExp.prototype.test);
  const toUpperCase = uncurryThis(String.prototype.toUpperCase);

  const TOKEN = /^[!#$%&'*+\-.^_\x60|~0-9A-Za-z]+$/;
  // Upper-cased if they come in another case; the others are taken as they are.
  const NORMALIZED = { __proto__: null, DELETE: 1, GET: 1, HEAD: 1, OPTIONS: 1, POST: 1, PUT: 1 };
  const FORBIDDEN = { __proto__: null, CONNECT: 1, TRACE: 1, TRACK: 1 };
  // The methods that the host passes as numbers: `USUAL_METHODS` of nexus-guest, in its order.
  const COMMON = ["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"];

  const CHOICES = {
    __proto__: null,
    cache: ["default", "no-store", "reload", "no-cache", "force-cache", "only-if-cached"],
    credentials: ["omit", "same-origin", "include"],
    mode: ["same-origin", "no-cors", "cors"],
    referrerPolicy: [
      "", "no-referrer", "no-referrer-when-downgrade", "same-origin", "origin", "strict-origin",
      "origin-when-cross-origin", "strict-origin-when-cross-origin", "unsafe-url",
    ],
  };

  const normalizeMethod = (method) => {
    const string = byteString(method, "Request");
    if (!test(TOKEN, string)) throw new TypeError(`Request: "${string}" is not a method`);
    const upper = toUpperCase(string);
    if (FORBIDDEN[upper] === 1) throw new TypeError(`Request: the method "${string}" is forbidden`);
    return NORMALIZED[upper] === 1 ? upper : string;
  };

  const oneOf = (value, values, name) => {
    const string = domString(value);
    for (let i = 0; i < values.length; i++) if (values[i] === string) return string;
    throw new TypeError(`Request: "${string}" is not a valid ${name}`);
  };

  class Request {
    // The number of the request that the host holds, or 0.
    #id = 0;
    #method = "GET";
    #url = "";
    #headers = null;
    // undefined: the host's, not made so far.
    #body = null;
    #signal = null;
    // The options that most requests do not have.
    #options = null;

    constructor(input, init = undefined) {
      // The host's own requests come through here without arguments; see `makeRequest`.
      if (input === INCOMING) return;
      required(arguments.length, 1, "Request");
      let source = null;
      if (isObject(input) && #url in input) {
        source = input;
        this.#url = input.#url;
        this.#method = input.#method;
        this.#options = input.#options;
      } else {
        const url = new nexus.URL(nexus.parseURL(input, "Request"));
        if (url.username !== "" || url.password !== "") throw new TypeError("Request: the URL has a user name or password");
        this.#url = url.href;
      }
      const options = dictionary(init, "Request");
      const { method, headers, body, redirect, signal, duplex } = options;
      if (method !== undefined) this.#method = normalizeMethod(method);
      if (redirect !== undefined) {
        const mode = oneOf(redirect, ["follow", "error", "manual"], "redirect mode");
        this.#options = { __proto__: null, ...this.#options, redirect: mode };
      }
      if (duplex !== undefined) oneOf(duplex, ["half"], "duplex mode");
      if (init !== undefined && init !== null) {
        const kept = { __proto__: null, ...this.#options };
        for (const name of ownKeys(CHOICES)) {
          if (options[name] !== undefined) kept[name] = oneOf(options[name], CHOICES[name], name);
        }
        if (options.integrity !== undefined) kept.integrity = domString(options.integrity);
        if (options.referrer !== undefined) kept.referrer = domString(options.referrer);
        if (options.keepalive !== undefined) kept.keepalive = !!options.keepalive;
        this.#options = kept;
      }
      if (signal !== undefined && signal !== null && !nexus.isAbortSignal(signal)) {
        throw new TypeError("Request: the signal is not an AbortSignal");
      }
      const list = [];
      if (headers !== undefined) fillHeaders(list, headers, "Request");
      else if (source !== null) {
        const other = headersList(source.headers);
        for (let i = 0; i < other.length; i++) list[i] = other[i];
      }
      this.#headers = makeHeaders(list, false);

      const hasBody = body !== undefined && body !== null;
      const inherits = body === undefined && source !== null && source.#getBody() !== null;
      if ((hasBody || inherits) && (this.#method === "GET" || this.#method === "HEAD")) {
        throw new TypeError(`Request: a ${this.#method} request cannot have a body`);
      }
      if (hasBody) {
        const extracted = bodies.extract(body, "Request");
        if (extracted.body.kind === bodies.STREAM && duplex === undefined) {
          throw new TypeError('Request: a stream as body needs { duplex: "half" }');
        }
        this.#body = extracted.body;
        if (extracted.type !== null && headerFind(list, "content-type") < 0) {
          list[list.length] = "content-type";
          list[list.length] = extracted.type;
        }
      } else if (inherits) {
        const old = source.#getBody();
        if (bodies.isUsed(old) || bodies.isLocked(old)) throw new TypeError("Request: the body was read already");
        this.#body = bodies.take(old);
      }

      if (signal !== undefined && signal !== null) {
        this.#signal = nexus.dependentSignal([signal]);
      } else if (signal === undefined && source !== null && (source.#signal !== null || source.#id !== 0)) {
        this.#signal = nexus.dependentSignal([source.signal]);
      }
    }

    get method() {
      return this.#method;
    }

    get url() {
      return this.#url;
    }

    get headers() {
      return (this.#headers ??= makeHeaders(ops.requestHeaders(this.#id), true));
    }

    get signal() {
      if (this.#signal === null) {
        this.#signal = nexus.newAbortSignal();
        if (this.#id !== 0 && !ops.holdSignal(this.#id, this.#signal)) nexus.signalAbort(this.#signal);
      }
      return this.#signal;
    }

    get redirect() {
      return this.#options?.redirect ?? "follow";
    }

    get cache() {
      return this.#options?.cache ?? "default";
    }

    get credentials() {
      return this.#options?.credentials ?? "same-origin";
    }

    get destination() {
      this.#method;
      return "";
    }

    get integrity() {
      return this.#options?.integrity ?? "";
    }

    get keepalive() {
      return this.#options?.keepalive ?? false;
    }

    get mode() {
      return this.#options?.mode ?? "cors";
    }

    get referrer() {
      return this.#options?.referrer ?? "about:client";
    }

    get referrerPolicy() {
      return this.#options?.referrerPolicy ?? "";
    }

    get duplex() {
      this.#method;
      return "half";
    }

    clone() {
      const body = this.#getBody();
      if (bodies.isUsed(body) || bodies.isLocked(body)) throw new TypeError("Request.clone: the body was read already, or is locked");
      const copy = new Request(INCOMING);
      copy.#method = this.#method;
      copy.#url = this.#url;
      copy.#headers = makeHeaders(copyHeaders(headersList(this.headers)), false);
      copy.#options = this.#options;
      copy.#body = bodies.clone(body);
      copy.#signal = nexus.dependentSignal([this.signal]);
      return copy;
    }

    #getBody() {
      if (this.#body === undefined) this.#body = ops.hasBody(this.#id) ? bodies.incoming(this.#id) : null;
      return this.#body;
    }

    static {
      nexus.isRequest = (value) => isObject(value) && #url in value;
      // The request that the host holds under this number.
      nexus.makeRequest = (id, method, url) => {
        const request = new Request(INCOMING);
        request.#id = id;
        request.#method = typeof method === "number" ? COMMON[method] : method;
        request.#url = url;
        request.#body = undefined;
        return request;
      };
      nexus.mixinBody(Request, (request) => request.#getBody());
    }
  }

  // Nobody outside has it.
  const INCOMING = Symbol();
  nexus.Request = finishInterface(Request);
})
