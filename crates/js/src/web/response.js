// Response. Fetch Standard, section 5.5. https://fetch.spec.whatwg.org/#response-class
(function (nexus) {
  "use strict";
  const { required, dictionary, byteString, integer, isObject, finishInterface, uncurryThis } = nexus.webidl;
  const { makeHeaders, headersList, fillHeaders, headerFind } = nexus;
  const { body: bodies } = nexus;
  const test = uncurryThis(RegExp.prototype.test);
  const { stringify } = JSON;

  const REASON = /^[\t\x20-\x7e\x80-\xff]*$/;
  const NULL_BODY = { __proto__: null, 101: 1, 103: 1, 204: 1, 205: 1, 304: 1 };
  const REDIRECT = { __proto__: null, 301: 1, 302: 1, 303: 1, 307: 1, 308: 1 };

  class Response {
    #status = 200;
    #statusText = "";
    // The header list; the Headers object comes into being when it is asked for.
    #list;
    #headers = null;
    #immutable = false;
    #body = null;
    #type = "default";
    #url = "";

    constructor(body = null, init = undefined) {
      const list = [];
      this.#list = list;
      if (init !== undefined && init !== null) {
        const { status, statusText, headers } = dictionary(init, "Response");
        if (status !== undefined) {
          const code = integer(status, 16, false, "Response");
          if (code < 200 || code > 599) throw new RangeError(`Response: the status ${code} is not in 200 to 599`);
          this.#status = code;
        }
        if (statusText !== undefined) {
          const text = byteString(statusText, "Response");
          if (!test(REASON, text)) throw new TypeError("Response: the status text contains a control character");
          this.#statusText = text;
        }
        if (headers !== undefined) fillHeaders(list, headers, "Response");
      }
      if (body !== null && body !== undefined) {
        if (NULL_BODY[this.#status] === 1) throw new TypeError(`Response: a response with status ${this.#status} cannot have a body`);
        const extracted = bodies.extract(body, "Response");
        this.#body = extracted.body;
        if (extracted.type !== null && headerFind(list, "content-type") < 0) {
          list[list.length] = "content-type";
          list[list.length] = extracted.type;
        }
      }
    }

    static error() {
      const response = new Response();
      response.#type = "error";
      response.#status = 0;
      response.#immutable = true;
      return response;
    }

    static redirect(url, status = 302) {
      required(arguments.length, 1, "Response.redirect");
      const target = nexus.parseURL(url, "Response.redirect");
      const code = integer(status, 16, false, "Response.redirect");
      if (REDIRECT[code] !== 1) throw new RangeError(`Response.redirect: ${code} is not a redirect status`);
      const response = new Response();
      response.#status = code;
      response.#list = ["location", target];
      response.#immutable = true;
      return response;
    }

    static json(data, init = undefined) {
      required(arguments.length, 1, "Response.json");
      const text = stringify(data);
      if (text === undefined) throw new TypeError("Response.json: the value has no JSON form");
      const response = new Response(text, init);
      const list = response.#list;
      // A string body brought its own type, unless the initializer named one.
      const given = init !== undefined && init !== null && init.headers !== undefined && initNames(init.headers);
      if (!given) nexus.headerSet(list, "content-type", "application/json");
      return response;
    }

    get type() {
      return this.#type;
    }

    get url() {
      return this.#url;
    }

    get redirected() {
      this.#url;
      return false;
    }

    get status() {
      return this.#status;
    }

    get ok() {
      return this.#status >= 200 && this.#status <= 299;
    }

    get statusText() {
      return this.#statusText;
    }

    get headers() {
      return (this.#headers ??= makeHeaders(this.#list, this.#immutable));
    }

    clone() {
      const body = this.#body;
      if (bodies.isUsed(body) || bodies.isLocked(body)) throw new TypeError("Response.clone: the body was read already, or is locked");
      const copy = new Response();
      copy.#status = this.#status;
      copy.#statusText = this.#statusText;
      copy.#list = [...this.#list];
      copy.#immutable = this.#immutable;
      copy.#type = this.#type;
      copy.#url = this.#url;
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

  // Whether an initializer of headers names a content type.
  const initNames = (headers) => {
    const list = [];
    fillHeaders(list, headers, "Response.json");
    return headerFind(list, "content-type") >= 0;
  };

  nexus.Response = finishInterface(Response);
})
