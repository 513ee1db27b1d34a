// Response. Fetch Standard, section 5.5. https://fetch.spec.whatwg.org/#response-class
(function (nexus) {
  "use strict";
  const { required, dictionary, byteString, integer, isObject, finishInterface, uncurryThis } = nexus.webidl;
  const { makeHeaders, headersList, fillHeaders, headerFind, copyHeaders } = nexus;
  const { body: bodies } = nexus;
  const test = uncurryThis(RegExp.prototype.test);
  const { stringify } = JSON;

  const REASON = /^[\t\x20-\x7e\x80-\xff]*$/;
  const TEXT = "text/plain;charset=UTF-8";
  const isNullBody = (status) => status === 204 || status === 205 || status === 304;
  const isRedirect = (status) => (status >= 301 && status <= 303) || status === 307 || status === 308;
  // What most responses do not have; shared by all of them.
  const USUAL = { __proto__: null, statusText: "", immutable: false, type: "default", url: "" };

  class Response {
    #status = 200;
    // The header list; the Headers object comes into being when it is asked for.
    #list;
    #headers = null;
    #body = null;
    #more = USUAL;

    constructor(body = null, init = undefined) {
      if (init !== undefined && init !== null) this.#list = this.#read(init);
      if (typeof body === "string") {
        // The usual case, without a detour.
        this.#body = bodies.ofString(body);
        if (this.#list === undefined) this.#list = ["content-type", TEXT];
        else addType(this.#list, TEXT);
      } else {
        this.#list ??= [];
        if (body !== null && body !== undefined) {
          const extracted = bodies.extract(body, "Response");
          this.#body = extracted.body;
          if (extracted.type !== null) addType(this.#list, extracted.type);
        }
      }
      if (this.#status !== 200 && this.#body !== null && isNullBody(this.#status)) {
        throw new TypeError(`Response: a response with status ${this.#status} cannot have a body`);
      }
    }

    // Reads the initializer; gives the header list.
    #read(init) {
      const { status, statusText, headers } = dictionary(init, "Response");
      if (status !== undefined) {
        const code = integer(status, 16, false, "Response");
        if (code < 200 || code > 599) throw new RangeError(`Response: the status ${code} is not in 200 to 599`);
        this.#status = code;
      }
      if (statusText !== undefined) {
        const text = byteString(statusText, "Response");
        if (!test(REASON, text)) throw new TypeError("Response: the status text contains a control character");
        this.#more = { ...USUAL, statusText: text };
      }
      const list = [];
      if (headers !== undefined) fillHeaders(list, headers, "Response");
      return list;
    }

    static error() {
      const response = new Response();
      response.#status = 0;
      response.#more = { ...USUAL, type: "error", immutable: true };
      return response;
    }

    static redirect(url, status = 302) {
      required(arguments.length, 1, "Response.redirect");
      const target = nexus.parseURL(url, "Response.redirect");
      const code = integer(status, 16, false, "Response.redirect");
      if (!isRedirect(code)) throw new RangeError(`Response.redirect: ${code} is not a redirect status`);
      const response = new Response();
      response.#status = code;
      response.#list = ["location", target];
      response.#more = { ...USUAL, immutable: true };
      return response;
    }

    static json(data, init = undefined) {
      required(arguments.length, 1, "Response.json");
      const text = stringify(data);
      if (text === undefined) throw new TypeError("Response.json: the value has no JSON form");
      const response = new Response(null, init);
      if (isNullBody(response.#status)) {
        throw new TypeError(`Response.json: a response with status ${response.#status} cannot have a body`);
      }
      response.#body = bodies.ofString(text);
      addType(response.#list, "application/json");
      return response;
    }

    get type() {
      return this.#more.type;
    }

    get url() {
      return this.#more.url;
    }

    get redirected() {
      this.#more;
      return false;
    }

    get status() {
      return this.#status;
    }

    get ok() {
      return this.#status >= 200 && this.#status <= 299;
    }

    get statusText() {
      return this.#more.statusText;
    }

    get headers() {
      return (this.#headers ??= makeHeaders(this.#list, this.#more.immutable));
    }

    clone() {
      const body = this.#body;
      if (bodies.isUsed(body) || bodies.isLocked(body)) throw new TypeError("Response.clone: the body was read already, or is locked");
      const copy = new Response();
      copy.#status = this.#status;
      copy.#list = copyHeaders(this.#list);
      copy.#more = this.#more;
      copy.#body = bodies.clone(body);
      return copy;
    }

    static {
      nexus.isResponse = (value) => isObject(value) && #list in value;
      nexus.responseStatus = (response) => response.#status;
      nexus.responseHeaders = (response) => response.#list;
      nexus.responseBody = (response) => response.#body;
      nexus.mixinBody(Response, (response) => response.#body);
    }
  }

  const addType = (list, type) => {
    if (headerFind(list, "content-type") < 0) {
      list[list.length] = "content-type";
      list[list.length] = type;
    }
  };

  nexus.Response = finishInterface(Response);
})
