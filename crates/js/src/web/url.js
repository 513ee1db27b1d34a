// URL. https://url.spec.whatwg.org/#url-class
//
// A URL holds its serialisation and where its components begin; getters cut it on demand. The parser is
// native: it hands the offsets over in an array that both sides share, and says `true` if the serialisation is
// the very input. The URL of the request that came last is not parsed at all: the host knows its layout.
(function (nexus) {
  "use strict";
  const { ops } = nexus;
  const { required, usvString, finishInterface } = nexus.webidl;
  const { slice, indexOf, charCodeAt } = nexus.builtins.string;
  const COLON = 58, QUESTION_MARK = 63;
  const hasTabs = (text) => indexOf(text, "\t") !== -1 || indexOf(text, "\n") !== -1 || indexOf(text, "\r") !== -1;
  const SPECIAL = { __proto__: null, "http:": true, "https:": true, "ws:": true, "wss:": true, "ftp:": true };
  // What `ops.urlSet` can set; the numbers are the native side's.
  const PROTOCOL = 1, USERNAME = 2, PASSWORD = 3, HOST = 4, HOSTNAME = 5, PORT = 6, PATHNAME = 7;
  const SEARCH = 8, HASH = 9;
  let offsets = null;
  // The last request's URL, serialised, and its layout (see url_canonical.rs), 0 if there is none.
  let requestUrl = "";
  let requestLayout = 0;

  const shown = (string) => (string.length > 200 ? `${slice(string, 0, 200)}…` : string);

  const NONE = { __proto__: null };
  let parse;
  class URL {
    #href;
    #schemeEnd = 0;
    #usernameEnd = 0;
    #hostStart = 0;
    #hostEnd = 0;
    #pathStart = 0;
    #queryStart = 0;
    #fragmentStart = 0;
    // The query object, made when it is asked for, and whether it has changed since the query was made from it.
    #params = null;
    #stale = false;
    static {
      nexus.isURL = (value) => typeof value === "object" && value !== null && #href in value;
      nexus.urlHref = (url) => url.#current();
      nexus.urlQueryChanged = (url) => {
        url.#stale = true;
      };
      parse = (url, base) => {
        const object = new URL(NONE);
        if (base === undefined && url === requestUrl && requestLayout !== 0) {
          object.#loadRequest();
          return object;
        }
        return object.#parse(usvString(url), base === undefined ? undefined : usvString(base)) ? object : null;
      };
    }
    constructor(url, base = undefined) {
      if (url === NONE) return;
      if (base === undefined && url === requestUrl && requestLayout !== 0) {
        this.#loadRequest();
        return;
      }
      required(arguments.length, 1, "URL");
      url = usvString(url);
      if (base !== undefined) base = usvString(base);
      if (!this.#parse(url, base)) {
        throw new TypeError(
          base === undefined ? `Invalid URL: "${shown(url)}"` : `Invalid URL: "${shown(url)}" with base "${shown(base)}"`,
        );
      }
    }
    #parse(url, base) {
      offsets ??= ops.urlOffsets();
      const href = ops.urlParse(url, base);
      if (href === false) return false;
      this.#load(href === true ? url : href);
      return true;
    }
    #load(href) {
      this.#href = href;
      this.#schemeEnd = offsets[0];
      this.#usernameEnd = offsets[1];
      this.#hostStart = offsets[2];
      this.#hostEnd = offsets[3];
      this.#pathStart = offsets[4];
      // 0 if there is none.
      this.#queryStart = offsets[5];
      this.#fragmentStart = offsets[6];
    }
    #loadRequest() {
      const layout = requestLayout;
      const schemeEnd = 4 + (layout & 1);
      const hostEnd = (layout >> 1) & 1023;
      const pathStart = hostEnd + ((layout >> 11) & 7);
      const query = layout >> 14;
      this.#href = requestUrl;
      this.#schemeEnd = schemeEnd;
      this.#usernameEnd = schemeEnd + 3;
      this.#hostStart = schemeEnd + 3;
      this.#hostEnd = hostEnd;
      this.#pathStart = pathStart;
      this.#queryStart = query === 0 ? 0 : pathStart + query;
    }
    #set(which, value) {
      offsets ??= ops.urlOffsets();
      const before = this.#current();
      const href = ops.urlSet(before, which, value);
      if (href !== undefined) this.#load(href === true ? before : href);
    }
    /**
     * The serialisation. Changes of the query object are taken over here, not with each of them; until then all
     * components but the query are right as they are.
     */
    #current() {
      if (!this.#stale) return this.#href;
      const href = this.#href;
      const end = this.#fragmentStart || href.length;
      const start = this.#queryStart || end;
      const query = nexus.serializeURLSearchParams(this.#params);
      this.#href = `${slice(href, 0, start)}${query === "" ? "" : "?"}${query}${slice(href, end)}`;
      this.#queryStart = query === "" ? 0 : start;
      if (this.#fragmentStart !== 0) this.#fragmentStart = start + (query === "" ? 0 : query.length + 1);
      this.#stale = false;
      return this.#href;
    }
    /** Where the port ends, which begins after the host's end. */
    #portEnd() {
      return this.#pathStart > this.#hostEnd && charCodeAt(this.#href, this.#hostEnd) === COLON
        ? this.#pathStart
        : this.#hostEnd;
    }
    #pathname() {
      const href = this.#href;
      return slice(href, this.#pathStart, this.#queryStart || this.#fragmentStart || href.length);
    }
    #search() {
      const href = this.#current();
      const start = this.#queryStart;
      if (start === 0) return "";
      const end = this.#fragmentStart || href.length;
      return end - start > 1 ? slice(href, start, end) : "";
    }
    #origin() {
      const href = this.#href;
      const protocol = slice(href, 0, this.#schemeEnd + 1);
      if (SPECIAL[protocol]) return `${protocol}//${slice(href, this.#hostStart, this.#portEnd())}`;
      if (protocol === "blob:") {
        const inner = parse(this.#pathname());
        const scheme = inner === null ? "" : slice(inner.#href, 0, inner.#schemeEnd);
        if (scheme === "http" || scheme === "https") return inner.#origin();
      }
      return "null";
    }

    static parse(url, base = undefined) {
      required(arguments.length, 1, "URL.parse");
      return parse(url, base);
    }
    static canParse(url, base = undefined) {
      required(arguments.length, 1, "URL.canParse");
      offsets ??= ops.urlOffsets();
      return ops.urlParse(usvString(url), base === undefined ? undefined : usvString(base)) !== false;
    }
    static createObjectURL(obj) {
      required(arguments.length, 1, "URL.createObjectURL");
      return nexus.blobUrls.create(obj);
    }
    static revokeObjectURL(url) {
      required(arguments.length, 1, "URL.revokeObjectURL");
      nexus.blobUrls.revoke(url);
    }
    get href() {
      return this.#current();
    }
    set href(value) {
      this.#href;
      value = usvString(value);
      if (!this.#parse(value)) throw new TypeError(`Invalid URL: "${shown(value)}"`);
      this.#stale = false;
      if (this.#params !== null) nexus.resetURLSearchParams(this.#params, this.#search());
    }
    get origin() {
      return this.#origin();
    }
    get protocol() {
      return slice(this.#href, 0, this.#schemeEnd + 1);
    }
    set protocol(value) {
      this.#href;
      this.#set(PROTOCOL, usvString(value));
    }
    get username() {
      const start = this.#schemeEnd + 3;
      return this.#usernameEnd > start ? slice(this.#href, start, this.#usernameEnd) : "";
    }
    set username(value) {
      this.#href;
      this.#set(USERNAME, usvString(value));
    }
    get password() {
      const at = this.#usernameEnd;
      return this.#hostStart > at + 1 && charCodeAt(this.#href, at) === COLON
        ? slice(this.#href, at + 1, this.#hostStart - 1)
        : "";
    }
    set password(value) {
      this.#href;
      this.#set(PASSWORD, usvString(value));
    }
    get host() {
      return slice(this.#href, this.#hostStart, this.#portEnd());
    }
    set host(value) {
      this.#href;
      this.#set(HOST, usvString(value));
    }
    get hostname() {
      return slice(this.#href, this.#hostStart, this.#hostEnd);
    }
    set hostname(value) {
      this.#href;
      this.#set(HOSTNAME, usvString(value));
    }
    get port() {
      const end = this.#portEnd();
      return end > this.#hostEnd ? slice(this.#href, this.#hostEnd + 1, end) : "";
    }
    set port(value) {
      this.#href;
      this.#set(PORT, usvString(value));
    }
    get pathname() {
      return this.#pathname();
    }
    set pathname(value) {
      this.#href;
      this.#set(PATHNAME, usvString(value));
    }
    get search() {
      return this.#search();
    }
    set search(value) {
      this.#href;
      value = usvString(value);
      this.#set(SEARCH, value);
      // The query object is made of the value as it was given: the query itself has no tabs and newlines.
      if (this.#params === null && !hasTabs(value)) return;
      this.#params ??= nexus.makeURLSearchParams(this);
      nexus.resetURLSearchParams(this.#params, charCodeAt(value, 0) === QUESTION_MARK ? value : `?${value}`);
    }
    get searchParams() {
      if (this.#params === null) {
        this.#params = nexus.makeURLSearchParams(this);
        nexus.resetURLSearchParams(this.#params, this.#search());
      }
      return this.#params;
    }
    get hash() {
      const start = this.#fragmentStart;
      return start !== 0 && this.#href.length - start > 1 ? slice(this.#href, start) : "";
    }
    set hash(value) {
      this.#href;
      this.#set(HASH, usvString(value));
    }
    toString() {
      return this.#current();
    }
    toJSON() {
      return this.#current();
    }
  }

  finishInterface(URL);
  nexus.URL = URL;
  nexus.urlOffsets = () => (offsets ??= ops.urlOffsets());
  // Nothing is one before url_search_params.js has run.
  nexus.isURLSearchParams = () => false;
  /** A URL's serialisation; throws TypeError if it is none. */
  nexus.parseURL = (url, what) => {
    url = usvString(url);
    const parsed = parse(url);
    if (parsed === null) throw new TypeError(`${what}: invalid URL: "${shown(url)}"`);
    return nexus.urlHref(parsed);
  };
  /** Notes the URL of the request that begins now. */
  nexus.noteRequestUrl = (url, layout) => {
    requestUrl = url;
    requestLayout = layout;
  };
  // The array belongs to an isolate; see warm.js.
  nexus.forgetOffsets = () => {
    offsets = null;
    requestUrl = "";
    requestLayout = 0;
  };
})
