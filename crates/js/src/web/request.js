// Request. Fetch Standard, section 5.4. https://fetch.spec.whatwg.org/#request-class
//
// The request that a handler gets is made for each request that the host serves: it holds the host's number, and
// its headers, body and signal come into being when they are asked for.
(function (nexus) {
  "use strict";
  const { ops } = nexus;
  const { required, usvString, isObject, finishInterface } = nexus.webidl;
  const { makeHeaders, headersList, headersGuard, copyHeaders } = nexus;
  const { body: bodies } = nexus;

  // The methods that the host passes as numbers: `USUAL_METHODS` of nexus-guest, in its order.
  const COMMON = ["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"];

  /** What relative URLs are resolved against: nothing, for a server's code has no address of its own. */
  nexus.baseUrl = undefined;
  /** A URL's serialisation; throws TypeError if it is none. */
  nexus.resolveURL = (url, what) =>
    nexus.baseUrl === undefined ? nexus.parseURL(url, what) : nexus.urlHref(new nexus.URL(url, nexus.baseUrl));

  let partsOf, signalOf;
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
      const source = isObject(input) && #url in input ? input : null;
      const url = source === null ? usvString(input) : "";
      const from = source === null ? null : partsOf(source);
      const made = nexus.buildRequest(url, from, init);
      this.#method = made.method;
      this.#url = made.url;
      this.#options = made.options;
      this.#headers = makeHeaders(made.list, made.guard);
      this.#body = made.body;
      const { signal } = made;
      if (signal !== undefined && signal !== null) {
        this.#signal = nexus.dependentSignal([signal]);
      } else if (signal === undefined && source !== null) {
        const followed = signalOf(source);
        if (followed !== null) this.#signal = nexus.dependentSignal([followed]);
      }
    }

    get method() {
      return this.#method;
    }

    get url() {
      return this.#url;
    }

    get headers() {
      return this.#headers ?? this.#getHeaders();
    }

    get signal() {
      return this.#getSignal();
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

    get isReloadNavigation() {
      this.#method;
      return false;
    }

    get isHistoryNavigation() {
      this.#method;
      return false;
    }

    get duplex() {
      this.#method;
      return "half";
    }

    clone() {
      const body = this.#getBody();
      if (bodies.isUsed(body) || bodies.isLocked(body)) throw bodies.unusable("Request.clone");
      const copy = new Request(INCOMING);
      copy.#method = this.#method;
      copy.#url = this.#url;
      const headers = this.#getHeaders();
      copy.#headers = makeHeaders(copyHeaders(headersList(headers)), headersGuard(headers));
      copy.#options = this.#options;
      copy.#body = nexus.cloneBody(body);
      copy.#signal = nexus.dependentSignal([this.#getSignal()]);
      return copy;
    }

    // The internals do without the public getters, which a guest may replace.
    #getHeaders() {
      return (this.#headers ??= makeHeaders(ops.requestHeaders(this.#id), true));
    }

    #getSignal() {
      if (this.#signal === null) {
        this.#signal = nexus.newAbortSignal();
        if (this.#id !== 0 && !ops.holdSignal(this.#id, this.#signal)) nexus.signalAbort(this.#signal);
      }
      return this.#signal;
    }

    #getBody() {
      if (this.#body === undefined) this.#body = ops.hasBody(this.#id) ? bodies.incoming(this.#id) : null;
      return this.#body;
    }

    static {
      nexus.requestParts = partsOf = (request) => ({
        method: request.#method,
        url: request.#url,
        options: request.#options,
        list: headersList(request.#getHeaders()),
        body: request.#getBody(),
      });
      // Its signal, or null if that can never abort.
      nexus.requestSignal = signalOf = (request) =>
        request.#signal !== null || request.#id !== 0 ? request.#getSignal() : null;
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
      nexus.mixinBody(
        Request,
        (request) => request.#getBody(),
        (request) => headersList(request.#getHeaders()),
      );
    }
  }

  // Nobody outside has it.
  const INCOMING = Symbol();
  nexus.Request = finishInterface(Request);
})
