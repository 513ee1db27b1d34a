// Response. Fetch Standard, section 5.5. https://fetch.spec.whatwg.org/#response-class
(function (nexus) {
  "use strict";
  const { required, dictionary, byteString, usvString, integer, isObject, finishInterface } = nexus.webidl;
  const { makeHeaders, convertFields, checkFields, headerFind, copyHeaders } = nexus;
  const { body: bodies } = nexus;
  const { PARTS, ofString } = bodies;
  const { exec } = nexus.builtins.regexp;
  const { stringify } = JSON;

  const NOT_REASON = /[^\t\x20-\x7e\x80-\xff]/;
  const TEXT = "text/plain;charset=UTF-8";
  const noBody = (status) => new TypeError(`Response: a response with status ${status} cannot have a body`);
  const isNullBody = (status) => status === 204 || status === 205 || status === 304;
  const isRedirect = (status) => (status >= 301 && status <= 303) || status === 307 || status === 308;
  // What most responses do not have; shared by all of them.
  const USUAL = { __proto__: null, statusText: "", immutable: false, type: "default", url: "", redirected: false };

  class Response {
    #status = 200;
    // The header list; the Headers object comes into being when it is asked for.
    #list;
    #headers = null;
    #body = null;
    #more = USUAL;

    constructor(body = null, init = undefined) {
      if (typeof body === "string") {
        // The usual case, without a detour.
        if (init === undefined || init === null) {
          this.#list = ["content-type", TEXT];
        } else {
          this.#read(init);
          if (this.#status !== 200 && isNullBody(this.#status)) throw noBody(this.#status);
          addType(this.#list, TEXT);
        }
        this.#body = ofString(body);
      } else {
        this.#initialize(init, body === null || body === undefined ? null : bodies.convertInit(body), null);
      }
    }

    // Reads the initializer, and checks what is in it when all of it is converted.
    #read(init) {
      const list = [];
      const { headers } = dictionary(init, "Response");
      const unchecked = headers !== undefined && convertFields(list, headers, "Response");
      const { status } = init;
      const code = status === undefined ? 200 : integer(status, 16, false, "Response");
      const { statusText } = init;
      const text = statusText === undefined ? "" : byteString(statusText, "Response");
      this.#check(code, text, list, unchecked);
    }

    #check(code, text, list, unchecked) {
      if (code < 200 || code > 599) throw new RangeError(`Response: the status ${code} is not in 200 to 599`);
      if (text !== "") {
        if (exec(NOT_REASON, text) !== null) throw new TypeError("Response: the status text has a control character");
        this.#more = { __proto__: null, ...USUAL, statusText: text };
      }
      if (unchecked) checkFields(list, "Response");
      this.#status = code;
      this.#list = list;
    }

    // The same with a body of what `convertInit` gave or of what `json` holds, which is made in between.
    #initialize(init, body, json) {
      const list = [];
      let code = 200;
      let text = "";
      let unchecked = false;
      if (init !== undefined && init !== null) {
        const { headers } = dictionary(init, "Response");
        if (headers !== undefined) unchecked = convertFields(list, headers, "Response");
        const { status } = init;
        if (status !== undefined) code = integer(status, 16, false, "Response");
        const { statusText } = init;
        if (statusText !== undefined) text = byteString(statusText, "Response");
      }
      const extracted = json !== null ? jsonBody(json.data) : body === null ? null : bodies.extract(body, "Response");
      this.#check(code, text, list, unchecked);
      if (extracted === null) return;
      if (isNullBody(code)) throw noBody(code);
      this.#body = extracted.body;
      if (extracted.type !== null) addType(list, extracted.type);
    }

    static error() {
      const response = new Response();
      response.#status = 0;
      response.#more = { __proto__: null, ...USUAL, type: "error", immutable: true };
      return response;
    }

    static redirect(url, status = 302) {
      required(arguments.length, 1, "Response.redirect");
      url = usvString(url);
      const code = integer(status, 16, false, "Response.redirect");
      const target = nexus.resolveURL(url, "Response.redirect");
      if (!isRedirect(code)) throw new RangeError(`Response.redirect: ${code} is not a redirect status`);
      const response = new Response();
      response.#status = code;
      response.#list = ["location", target];
      response.#more = { __proto__: null, ...USUAL, immutable: true };
      return response;
    }

    static json(data, init = undefined) {
      required(arguments.length, 1, "Response.json");
      const response = new Response();
      if (init !== undefined && init !== null) {
        response.#initialize(init, null, { data });
        return response;
      }
      response.#body = ofString(jsonText(data));
      response.#list[0] = "content-type";
      response.#list[1] = "application/json";
      return response;
    }

    get type() {
      return this.#more.type;
    }

    get url() {
      return this.#more.url;
    }

    get redirected() {
      return this.#more.redirected;
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
      if (bodies.isUsed(body) || bodies.isLocked(body)) throw bodies.unusable("Response.clone");
      const copy = new Response();
      copy.#status = this.#status;
      copy.#list = copyHeaders(this.#list);
      copy.#more = this.#more;
      copy.#body = nexus.cloneBody(body);
      return copy;
    }

    static {
      // Of a response that was fetched: what most do not have is given as a whole.
      nexus.fetchedResponse = (status, list, body, more) => {
        const response = new Response();
        response.#status = status;
        response.#list = list;
        response.#body = body;
        response.#more = more;
        return response;
      };
      nexus.isResponse = (value) => isObject(value) && #list in value;
      nexus.responseStatus = (response) => response.#status;
      nexus.responseUrl = (response) => response.#more.url;
      nexus.responseHeaders = (response) => response.#list;
      nexus.responseBody = (response) => {
        const body = response.#body;
        return body !== null && body.kind === PARTS ? nexus.flattenBody(body) : body;
      };
      nexus.mixinBody(Response, (response) => response.#body, (response) => response.#list);
    }
  }

  const jsonText = (data) => {
    const text = stringify(data);
    if (text === undefined) throw new TypeError("Response.json: the value has no JSON form");
    return text;
  };
  const jsonBody = (data) => ({ body: ofString(jsonText(data)), type: "application/json" });
  const addType = (list, type) => {
    if (headerFind(list, "content-type") < 0) {
      list[list.length] = "content-type";
      list[list.length] = type;
    }
  };

  nexus.Response = finishInterface(Response);
})
