// The Request constructor's work. https://fetch.spec.whatwg.org/#dom-request
(function (nexus) {
  "use strict";
  const { dictionary, domString, usvString, byteString } = nexus.webidl;
  const { convertFields, checkFields, headerFind, headerGet, copyHeaders, resolveURL } = nexus;
  const { convertInit, extract, isUsed, isLocked, unusable, STREAM } = nexus.body;
  const { charCodeAt, indexOf, toLowerCase } = nexus.builtins.string;
  const { exec } = nexus.builtins.regexp;

  const NOT_TOKEN = /[^!#$%&'*+\-.^_\x60|~0-9A-Za-z]/;
  // Upper-cased if they come in another case; the others are taken as they are.
  const NORMALIZED = {
    __proto__: null, delete: "DELETE", get: "GET", head: "HEAD", options: "OPTIONS", post: "POST", put: "PUT",
  };
  const FORBIDDEN = { __proto__: null, connect: true, trace: true, track: true };
  const SAFELISTED = { __proto__: null, GET: true, HEAD: true, POST: true };

  const CHOICES = {
    __proto__: null,
    cache: ["default", "no-store", "reload", "no-cache", "force-cache", "only-if-cached"],
    credentials: ["omit", "same-origin", "include"],
    duplex: ["half"],
    mode: ["navigate", "same-origin", "no-cors", "cors"],
    priority: ["high", "low", "auto"],
    redirect: ["follow", "error", "manual"],
    referrerPolicy: [
      "", "no-referrer", "no-referrer-when-downgrade", "same-origin", "origin", "strict-origin",
      "origin-when-cross-origin", "strict-origin-when-cross-origin", "unsafe-url",
    ],
  };

  const fail = (message) => new TypeError(`Request: ${message}`);

  const oneOf = (value, name) => {
    if (value === undefined) return undefined;
    const string = domString(value);
    const values = CHOICES[name];
    for (let i = 0; i < values.length; i++) if (values[i] === string) return string;
    throw fail(`"${string}" is not a valid ${name}`);
  };

  /** What was given of the options that most requests leave alone. */
  class Options {
    cache = "default";
    credentials = "same-origin";
    integrity = "";
    keepalive = false;
    mode = "cors";
    redirect = "follow";
    referrer = "about:client";
    referrerPolicy = "";
    constructor(old) {
      if (old === null) return;
      this.cache = old.cache;
      this.credentials = old.credentials;
      this.integrity = old.integrity;
      this.keepalive = old.keepalive;
      this.mode = old.mode;
      this.redirect = old.redirect;
    }
  }

  class Members {
    empty = true;
    body = undefined;
    list = null;
    // Whether the fields still have to be checked.
    unchecked = false;
    method = undefined;
    signal = undefined;
    window = undefined;
    duplex = undefined;
    // Whether there is one of the following.
    any = false;
    cache = undefined;
    credentials = undefined;
    integrity = undefined;
    keepalive = undefined;
    mode = undefined;
    redirect = undefined;
    referrer = undefined;
    referrerPolicy = undefined;
  }
  const NOTHING = new Members();

  /** Web IDL's conversion of a RequestInit: its members, read and converted in the order of their names. */
  const convertMembers = (init) => {
    if (init === undefined || init === null) return NOTHING;
    const given = dictionary(init, "Request");
    const members = new Members();
    const { body } = given;
    if (body !== undefined) members.body = body === null ? null : convertInit(body);
    members.cache = oneOf(given.cache, "cache");
    members.credentials = oneOf(given.credentials, "credentials");
    members.duplex = oneOf(given.duplex, "duplex");
    const { headers } = given;
    if (headers !== undefined) {
      members.list = [];
      members.unchecked = convertFields(members.list, headers, "Request");
    }
    const { integrity } = given;
    if (integrity !== undefined) members.integrity = domString(integrity);
    const { keepalive } = given;
    if (keepalive !== undefined) members.keepalive = !!keepalive;
    const { method } = given;
    if (method !== undefined) members.method = byteString(method, "Request");
    members.mode = oneOf(given.mode, "mode");
    const priority = oneOf(given.priority, "priority");
    members.redirect = oneOf(given.redirect, "redirect");
    const { referrer } = given;
    if (referrer !== undefined) members.referrer = usvString(referrer);
    members.referrerPolicy = oneOf(given.referrerPolicy, "referrerPolicy");
    const { signal } = given;
    if (signal !== undefined && signal !== null && !nexus.isAbortSignal(signal)) {
      throw fail("the signal is not an AbortSignal");
    }
    members.signal = signal;
    members.window = given.window;
    members.any =
      members.cache !== undefined || members.credentials !== undefined || integrity !== undefined ||
      keepalive !== undefined || members.mode !== undefined || members.redirect !== undefined ||
      referrer !== undefined || members.referrerPolicy !== undefined;
    members.empty =
      !members.any && body === undefined && members.duplex === undefined && headers === undefined &&
      method === undefined && priority === undefined && signal === undefined && members.window === undefined;
    return members;
  };

  const CORS_UNSAFE = /[\0-\x08\n-\x1f"():<>?@[\\\]{}\x7f]/;
  const NOT_LANGUAGE = /[^0-9A-Za-z *,\-.;=]/;
  const NO_CORS_TYPES = {
    __proto__: null, "application/x-www-form-urlencoded": true, "multipart/form-data": true, "text/plain": true,
  };
  /** "No-CORS-safelisted request-header": what a request with the mode "no-cors" may have. */
  const isNoCorsField = (name, value) => {
    if (value.length > 128) return false;
    if (name === "accept-language" || name === "content-language") return exec(NOT_LANGUAGE, value) === null;
    if ((name !== "accept" && name !== "content-type") || exec(CORS_UNSAFE, value) !== null) return false;
    if (name === "accept") return true;
    const type = nexus.parseMimeType(value);
    return type !== null && NO_CORS_TYPES[type.essence] === true;
  };
  nexus.isNoCorsField = isNoCorsField;
  /** Of a header list what such a request may have. */
  const noCorsFields = (list) => {
    const allowed = [];
    for (let i = 0; i < list.length; i += 2) {
      const before = headerGet(allowed, list[i]);
      if (!isNoCorsField(list[i], before === null ? list[i + 1] : `${before}, ${list[i + 1]}`)) continue;
      allowed[allowed.length] = list[i];
      allowed[allowed.length] = list[i + 1];
    }
    return allowed;
  };

  const normalizeMethod = (method) => {
    if (method === "" || exec(NOT_TOKEN, method) !== null) throw fail(`"${method}" is not a method`);
    const lower = toLowerCase(method);
    if (FORBIDDEN[lower]) throw fail(`the method "${method}" is forbidden`);
    return NORMALIZED[lower] ?? method;
  };

  /** Whether a serialised URL has a user name or a password. */
  const hasCredentials = (href) => {
    const colon = indexOf(href, ":");
    if (charCodeAt(href, colon + 1) !== 47 || charCodeAt(href, colon + 2) !== 47) return false;
    for (let i = colon + 3; i < href.length; i++) {
      const code = charCodeAt(href, i);
      if (code === 64) return true;
      // "/", "?" and "#" end the authority.
      if (code === 47 || code === 63 || code === 35) return false;
    }
    return false;
  };

  nexus.hasCredentials = hasCredentials;

  /** The options of a request; most have none. An app has no origin that a referrer could be foreign to. */
  const optionsOf = (members, from) => {
    const old = from === null ? null : from.options;
    if (members.empty || (old === null && !members.any)) return old;
    // The old request's referrer and its policy do not count any more.
    const options = new Options(old);
    if (members.referrer !== undefined) {
      if (members.referrer === "") {
        options.referrer = "";
      } else {
        const referrer = resolveURL(members.referrer, "Request: the referrer");
        if (referrer !== "about:client") options.referrer = referrer;
      }
    }
    if (members.referrerPolicy !== undefined) options.referrerPolicy = members.referrerPolicy;
    if (members.mode === "navigate") throw fail('the mode cannot be "navigate"');
    if (members.mode !== undefined) options.mode = members.mode;
    if (members.credentials !== undefined) options.credentials = members.credentials;
    if (members.cache !== undefined) options.cache = members.cache;
    if (options.cache === "only-if-cached" && options.mode !== "same-origin") {
      throw fail('the cache mode "only-if-cached" needs the mode "same-origin"');
    }
    if (members.redirect !== undefined) options.redirect = members.redirect;
    if (members.integrity !== undefined) options.integrity = members.integrity;
    if (members.keepalive !== undefined) options.keepalive = members.keepalive;
    return options;
  };

  /**
   * What a request is made of: `{ method, url, options, list, guard, body, signal }`. Of the request `from` there are
   * the same but for the signal, which is undefined if that one's counts.
   */
  nexus.buildRequest = (input, from, init) => {
    const members = convertMembers(init);
    const url = from === null ? resolveURL(input, "Request") : from.url;
    if (from === null && hasCredentials(url)) throw fail("the URL has a user name or a password");
    if (members.window !== undefined && members.window !== null) throw fail("the window can only be null");
    const options = optionsOf(members, from);
    let method = from === null ? "GET" : from.method;
    if (members.method !== undefined) method = normalizeMethod(members.method);
    const noCors = options !== null && options.mode === "no-cors";
    if (noCors && !SAFELISTED[method]) {
      throw fail(`the mode "no-cors" does not go with the method ${method}`);
    }
    let list = members.list;
    if (list === null) list = from === null ? [] : copyHeaders(from.list);
    else if (members.unchecked) checkFields(list, "Request");
    if (noCors) list = noCorsFields(list);

    const inputBody = from === null ? null : from.body;
    const hasBody = members.body !== undefined && members.body !== null;
    if ((hasBody || inputBody !== null) && (method === "GET" || method === "HEAD")) {
      throw fail(`a ${method} request cannot have a body`);
    }
    let body = null;
    if (hasBody) {
      const extracted = extract(members.body, "Request", options !== null && options.keepalive === true);
      body = extracted.body;
      const { type } = extracted;
      if (type !== null && headerFind(list, "content-type") < 0 && (!noCors || isNoCorsField("content-type", type))) {
        list[list.length] = "content-type";
        list[list.length] = type;
      }
    }
    const either = body ?? inputBody;
    if (either !== null && either.kind === STREAM) {
      if (hasBody && members.duplex === undefined) throw fail('a stream as body needs { duplex: "half" }');
      if (noCors) throw fail('the mode "no-cors" does not go with a stream as body');
    }
    if (!hasBody && inputBody !== null) {
      if (isUsed(inputBody) || isLocked(inputBody)) throw unusable("Request");
      body = nexus.takeBody(inputBody);
    }
    return { method, url, options, list, guard: noCors && "no-cors", body, signal: members.signal };
  };
})
