// URL and URLSearchParams. https://url.spec.whatwg.org/#api
//
// A URL holds its serialisation and where its components begin; getters cut it on demand. The parser is
// native: it hands the offsets over in an array that both sides share, and says `true` if the serialisation is
// the very input. The URL of the request that came last is not parsed at all: the host knows its layout.
(function (nexus) {
  "use strict";
  const { ops } = nexus;
  const {
    required, usvString, isObject, sequence, record, finishInterface, pairIterable, uncurryThis,
  } = nexus.webidl;
  const sort = uncurryThis(Array.prototype.sort);
  const replaceAll = uncurryThis(String.prototype.replaceAll);
  const slice = uncurryThis(String.prototype.slice);
  const indexOf = uncurryThis(String.prototype.indexOf);
  const charCodeAt = uncurryThis(String.prototype.charCodeAt);
  const decode = decodeURIComponent;
  const COLON = 58, SLASH = 47;
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
  let parse, updateQuery, makeParams, resetParams;
  class URL {
    #href;
    #schemeEnd = 0;
    #usernameEnd = 0;
    #hostStart = 0;
    #hostEnd = 0;
    #pathStart = 0;
    #queryStart = 0;
    #fragmentStart = 0;
    #params = null;
    static {
      nexus.isURL = (value) => typeof value === "object" && value !== null && #href in value;
      nexus.urlHref = (url) => url.#href;
      updateQuery = (url, query) => url.#set(SEARCH, query);
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
      const href = ops.urlSet(this.#href, which, value);
      if (typeof href === "string") this.#load(href);
      return href !== false;
    }
    /** Where the port ends, which begins after the host's end. */
    #portEnd() {
      return this.#pathStart > this.#hostEnd && charCodeAt(this.#href, this.#hostEnd) === COLON
        ? this.#pathStart
        : this.#hostEnd;
    }
    #hasAuthority() {
      const at = this.#schemeEnd;
      return charCodeAt(this.#href, at + 1) === SLASH && charCodeAt(this.#href, at + 2) === SLASH && this.#hostStart > at + 2;
    }

    static parse(url, base = undefined) {
      required(arguments.length, 1, "URL.parse");
      return parse(url, base);
    }
    static canParse(url, base = undefined) {
      required(arguments.length, 1, "URL.canParse");
      return parse(url, base) !== null;
    }
    get href() {
      return this.#href;
    }
    set href(value) {
      const before = this.#href;
      value = usvString(value);
      if (!this.#parse(value)) throw new TypeError(`Invalid URL: "${shown(value)}"`);
      if (this.#params !== null && before !== this.#href) resetParams(this.#params, this.search);
    }
    get origin() {
      const href = this.#href;
      const protocol = slice(href, 0, this.#schemeEnd + 1);
      if (SPECIAL[protocol]) return `${protocol}//${slice(href, this.#hostStart, this.#portEnd())}`;
      if (protocol === "blob:") {
        const inner = parse(slice(href, this.#pathStart, this.#queryStart || this.#fragmentStart || href.length));
        if (inner !== null && (inner.protocol === "http:" || inner.protocol === "https:")) return inner.origin;
      }
      return "null";
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
      return this.#usernameEnd > start && this.#hasAuthority() ? slice(this.#href, start, this.#usernameEnd) : "";
    }
    set username(value) {
      this.#href;
      this.#set(USERNAME, usvString(value));
    }
    get password() {
      const at = this.#usernameEnd;
      return this.#hostStart > at + 1 && this.#hasAuthority() && charCodeAt(this.#href, at) === COLON
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
      const href = this.#href;
      return slice(href, this.#pathStart, this.#queryStart || this.#fragmentStart || href.length);
    }
    set pathname(value) {
      this.#href;
      this.#set(PATHNAME, usvString(value));
    }
    get search() {
      const start = this.#queryStart;
      if (start === 0) return "";
      const end = this.#fragmentStart || this.#href.length;
      return end - start > 1 ? slice(this.#href, start, end) : "";
    }
    set search(value) {
      this.#href;
      this.#set(SEARCH, usvString(value));
      if (this.#params !== null) resetParams(this.#params, this.search);
    }
    get searchParams() {
      if (this.#params !== null) return this.#params;
      return (this.#params = makeParams(this, this.search));
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
      return this.#href;
    }
    toJSON() {
      return this.#href;
    }
  }

  // --- application/x-www-form-urlencoded ---

  /** One component's text; the native side takes over for percent signs that are no valid UTF-8. */
  const decodeComponent = (text, plus, percent) => {
    if (plus) text = replaceAll(text, "+", " ");
    if (!percent) return text;
    try {
      return decode(text);
    } catch {
      return ops.formDecode(text);
    }
  };

  /** Names and values, in turn, of a query without its question mark, from `start` on. */
  const parseForm = (query, start = 0) => {
    const list = [];
    const { length } = query;
    const anyPlus = indexOf(query, "+", start) !== -1;
    const anyPercent = indexOf(query, "%", start) !== -1;
    while (start < length) {
      let end = indexOf(query, "&", start);
      if (end === -1) end = length;
      if (end > start) {
        let equals = indexOf(query, "=", start);
        if (equals === -1 || equals > end) equals = end;
        list[list.length] = decodeComponent(slice(query, start, equals), anyPlus, anyPercent);
        list[list.length] = equals === end ? "" : decodeComponent(slice(query, equals + 1, end), anyPlus, anyPercent);
      }
      start = end + 1;
    }
    return list;
  };

  const encodeComponent = (text) => {
    for (let i = 0; i < text.length; i++) {
      const c = charCodeAt(text, i);
      // Letters, digits, and "*-._" stand for themselves.
      if ((c >= 97 && c <= 122) || (c >= 48 && c <= 57) || (c >= 65 && c <= 90)) continue;
      if (c === 42 || c === 45 || c === 46 || c === 95) continue;
      return ops.formEncode(text);
    }
    return text;
  };
  const serializeForm = (list) => {
    let out = "";
    for (let i = 0; i < list.length; i += 2) {
      out += `${i === 0 ? "" : "&"}${encodeComponent(list[i])}=${encodeComponent(list[i + 1])}`;
    }
    return out;
  };

  let listOf;
  class URLSearchParams {
    // Names and values in turn.
    #list = [];
    #url = null;
    static {
      listOf = (params) => params.#list;
      nexus.isURLSearchParams = (value) => typeof value === "object" && value !== null && #list in value;
      nexus.serializeURLSearchParams = (params) => serializeForm(params.#list);
      makeParams = (url, search) => {
        const params = new URLSearchParams();
        params.#url = url;
        params.#list = parseForm(search, 1);
        return params;
      };
      resetParams = (params, search) => {
        params.#list = parseForm(search, 1);
      };
    }
    constructor(init = undefined) {
      if (init === undefined) return;
      if (!isObject(init)) {
        init = usvString(init);
        this.#list = parseForm(init, charCodeAt(init, 0) === 63 ? 1 : 0);
        return;
      }
      const method = init[Symbol.iterator];
      if (method === undefined || method === null) {
        this.#list = record(init, usvString, usvString);
        return;
      }
      const list = this.#list;
      sequence(init, "URLSearchParams", (pair) => {
        const items = sequence(pair, "URLSearchParams: a pair", usvString);
        if (items.length !== 2) throw new TypeError(`URLSearchParams: a pair has ${items.length} elements`);
        list[list.length] = items[0];
        list[list.length] = items[1];
      });
    }
    #update() {
      if (this.#url !== null) updateQuery(this.#url, serializeForm(this.#list));
    }
    get size() {
      return this.#list.length / 2;
    }
    append(name, value) {
      const list = this.#list;
      required(arguments.length, 2, "URLSearchParams.append");
      name = usvString(name);
      value = usvString(value);
      list[list.length] = name;
      list[list.length] = value;
      this.#update();
    }
    delete(name, value = undefined) {
      const list = this.#list;
      required(arguments.length, 1, "URLSearchParams.delete");
      name = usvString(name);
      if (value !== undefined) value = usvString(value);
      let kept = 0;
      for (let i = 0; i < list.length; i += 2) {
        if (list[i] === name && (value === undefined || list[i + 1] === value)) continue;
        list[kept++] = list[i];
        list[kept++] = list[i + 1];
      }
      list.length = kept;
      this.#update();
    }
    get(name) {
      const list = this.#list;
      required(arguments.length, 1, "URLSearchParams.get");
      name = usvString(name);
      for (let i = 0; i < list.length; i += 2) if (list[i] === name) return list[i + 1];
      return null;
    }
    getAll(name) {
      const list = this.#list;
      required(arguments.length, 1, "URLSearchParams.getAll");
      name = usvString(name);
      const values = [];
      for (let i = 0; i < list.length; i += 2) if (list[i] === name) values[values.length] = list[i + 1];
      return values;
    }
    has(name, value = undefined) {
      const list = this.#list;
      required(arguments.length, 1, "URLSearchParams.has");
      name = usvString(name);
      if (value !== undefined) value = usvString(value);
      for (let i = 0; i < list.length; i += 2) {
        if (list[i] === name && (value === undefined || list[i + 1] === value)) return true;
      }
      return false;
    }
    set(name, value) {
      const list = this.#list;
      required(arguments.length, 2, "URLSearchParams.set");
      name = usvString(name);
      value = usvString(value);
      let found = false;
      let kept = 0;
      for (let i = 0; i < list.length; i += 2) {
        const match = list[i] === name;
        if (match && found) continue;
        list[kept++] = list[i];
        list[kept++] = match ? value : list[i + 1];
        found ||= match;
      }
      list.length = kept;
      if (!found) {
        list[kept] = name;
        list[kept + 1] = value;
      }
      this.#update();
    }
    sort() {
      const list = this.#list;
      const pairs = [];
      for (let i = 0; i < list.length; i += 2) pairs[pairs.length] = [list[i], list[i + 1]];
      sort(pairs, (a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0));
      for (let i = 0; i < pairs.length; i++) {
        list[2 * i] = pairs[i][0];
        list[2 * i + 1] = pairs[i][1];
      }
      this.#update();
    }
    toString() {
      return serializeForm(this.#list);
    }
  }
  pairIterable(URLSearchParams, (params, index) => {
    const list = listOf(params);
    const at = index * 2;
    return at < list.length ? [list[at], list[at + 1]] : undefined;
  });
  finishInterface(URL);
  finishInterface(URLSearchParams);
  nexus.URL = URL;
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
