// URLPatternInit: the parser of constructor strings, and canonicalization.
// https://urlpattern.spec.whatwg.org/#constructor-string-parsing, https://urlpattern.spec.whatwg.org/#canon
//
// An init is an object without a prototype; a component that does not exist is `undefined`.
(function (nexus) {
  "use strict";
  const { ops } = nexus;
  const { slice, charCodeAt } = nexus.builtins.string;
  const { exec } = nexus.builtins.regexp;
  const {
    tokenize, compile, escapePattern, ANY, TEXT, OPEN, CLOSE, REGEXP, NAME, CHAR, ESCAPED_CHAR, ASTERISK, END,
    INVALID_CHAR,
  } = nexus.urlPatternParser;

  // --- Canonicalization ---

  // Components by their numbers on the native side.
  const PROTOCOL = 1, USERNAME = 2, PASSWORD = 3, HOSTNAME = 5, PORT = 6, PATHNAME = 7, SEARCH = 8, HASH = 9;
  const OPAQUE_PATHNAME = 10;
  const LABELS = [
    "", "protocol", "username", "password", "", "hostname", "port", "pathname", "search", "hash", "pathname",
  ];
  const canonicalize = (which, value, protocol = "") => {
    if (value === "") return value;
    const canonical = ops.urlComponent(which, value, protocol);
    if (canonical === false) throw new TypeError(`URLPattern: invalid ${LABELS[which]}: "${value}"`);
    return canonical;
  };
  const encoding = (which) => (value) => canonicalize(which, value);
  const encodeProtocol = encoding(PROTOCOL);
  const encodings = {
    __proto__: null, protocol: encodeProtocol, username: encoding(USERNAME), password: encoding(PASSWORD),
    hostname: encoding(HOSTNAME), port: encoding(PORT), pathname: encoding(PATHNAME),
    opaquePathname: encoding(OPAQUE_PATHNAME), search: encoding(SEARCH), hash: encoding(HASH),
    ipv6Hostname(value) {
      let out = "";
      for (let i = 0; i < value.length; i++) {
        const code = charCodeAt(value, i);
        const upper = code >= 65 && code <= 70;
        // Hexadecimal digits, which include the colon's neighbours, and brackets.
        if (!upper && !(code >= 48 && code <= 58) && !(code >= 97 && code <= 102) && code !== 91 && code !== 93) {
          throw new TypeError(`URLPattern: invalid hostname: "${value}"`);
        }
        out += upper ? "abcdef"[code - 65] : value[i];
      }
      return out;
    },
  };

  const DEFAULT_PORTS = { __proto__: null, ftp: "21", file: "", http: "80", https: "443", ws: "80", wss: "443" };
  const SPECIAL_SCHEMES = ["ftp", "file", "http", "https", "ws", "wss"];
  const DEFAULT_OPTIONS = { __proto__: null, delimiter: "", prefix: "", ignoreCase: false };

  /** Protocol component matches a special scheme. */
  const matchesSpecialScheme = (component) => {
    if (component.kind === ANY) return true;
    if (component.kind === TEXT) return DEFAULT_PORTS[component.text] !== undefined;
    for (let i = 0; i < SPECIAL_SCHEMES.length; i++) {
      if (exec(component.regexp, SPECIAL_SCHEMES[i]) !== null) return true;
    }
    return false;
  };

  // --- URLs ---

  let offsets = null;
  /** A URL's components without the marks around them, in the order of a pattern's; `null` if it is invalid. */
  const urlComponents = (input, base) => {
    offsets ??= nexus.urlOffsets();
    const parsed = ops.urlParse(input, base);
    if (parsed === false) return null;
    const href = parsed === true ? input : parsed;
    const scheme = offsets[0], username = offsets[1], host = offsets[2], hostEnd = offsets[3], path = offsets[4];
    const end = offsets[6] || href.length;
    const queryStart = offsets[5] || end;
    return [
      slice(href, 0, scheme),
      // Without an authority, all of these are at the same place.
      username > scheme + 3 ? slice(href, scheme + 3, username) : "",
      host > username + 1 ? slice(href, username + 1, host - 1) : "",
      slice(href, host, hostEnd),
      // Between host and path there may also be what keeps a path apart from a host.
      charCodeAt(href, hostEnd) === 58 && path > hostEnd ? slice(href, hostEnd + 1, path) : "",
      slice(href, path, queryStart),
      slice(href, queryStart + 1, end),
      slice(href, end + 1),
    ];
  };

  // --- Constructor strings ---

  // States, in the order of a URL's parts.
  const INIT = 0, IN_PROTOCOL = 1, AUTHORITY = 2, IN_USERNAME = 3, IN_PASSWORD = 4, IN_HOSTNAME = 5, IN_PORT = 6;
  const IN_PATHNAME = 7, IN_SEARCH = 8, IN_HASH = 9, DONE = 10;
  const STATE_NAMES = [
    "", "protocol", "", "username", "password", "hostname", "port", "pathname", "search", "hash", "",
  ];

  /** Parse a constructor string. */
  const parseString = (input) => {
    const tokens = tokenize(input, true);
    const result = { __proto__: null };
    let state = INIT;
    let start = 0;
    let index = 0;
    let step = 1;
    let groupDepth = 0;
    let bracketDepth = 0;
    let special = false;

    const isChar = (at, value) => {
      const token = tokens[at < tokens.length ? at : tokens.length - 1];
      const { type } = token;
      return token.value === value && (type === CHAR || type === ESCAPED_CHAR || type === INVALID_CHAR);
    };
    const is = (value) => isChar(index, value);
    const isSearchPrefix = () => {
      if (is("?")) return true;
      if (tokens[index].value !== "?") return false;
      if (index === 0) return true;
      const { type } = tokens[index - 1];
      return type !== NAME && type !== REGEXP && type !== CLOSE && type !== ASTERISK;
    };
    const componentString = () => slice(input, tokens[start].index, tokens[index].index);
    const rewind = (to) => {
      index = start;
      step = 0;
      state = to;
    };
    const change = (to, skip) => {
      if (state !== INIT && state !== AUTHORITY) result[STATE_NAMES[state]] = componentString();
      if (state !== INIT && to !== DONE) {
        if (state <= IN_PASSWORD && to >= IN_PORT) result.hostname ??= "";
        if (state <= IN_PORT && to >= IN_SEARCH) result.pathname ??= special ? "/" : "";
        if (state <= IN_PATHNAME && to === IN_HASH) result.search ??= "";
      }
      state = to;
      index += skip;
      start = index;
      step = 0;
    };
    const changeAtSearchOrHash = () => {
      if (isSearchPrefix()) change(IN_SEARCH, 1);
      else if (is("#")) change(IN_HASH, 1);
    };
    const changeAtPath = () => {
      if (is("/")) change(IN_PATHNAME, 0);
      else changeAtSearchOrHash();
    };

    for (; index < tokens.length; index += step) {
      step = 1;
      const { type } = tokens[index];
      if (type === END) {
        if (state === INIT) {
          rewind(INIT);
          if (is("#")) change(IN_HASH, 1);
          else if (isSearchPrefix()) change(IN_SEARCH, 1);
          else change(IN_PATHNAME, 0);
          continue;
        }
        if (state === AUTHORITY) {
          rewind(IN_HOSTNAME);
          continue;
        }
        change(DONE, 0);
        break;
      }
      if (type === OPEN) {
        groupDepth++;
        continue;
      }
      if (groupDepth > 0) {
        if (type !== CLOSE) continue;
        groupDepth--;
      }
      switch (state) {
        case INIT:
          if (is(":")) rewind(IN_PROTOCOL);
          break;
        case IN_PROTOCOL:
          if (is(":")) {
            special = matchesSpecialScheme(compile(componentString(), DEFAULT_OPTIONS, encodeProtocol));
            if (isChar(index + 1, "/") && isChar(index + 2, "/")) change(AUTHORITY, 3);
            else change(special ? AUTHORITY : IN_PATHNAME, 1);
          }
          break;
        case AUTHORITY:
          if (is("@")) rewind(IN_USERNAME);
          else if (is("/") || isSearchPrefix() || is("#")) rewind(IN_HOSTNAME);
          break;
        case IN_USERNAME:
          if (is(":")) change(IN_PASSWORD, 1);
          else if (is("@")) change(IN_HOSTNAME, 1);
          break;
        case IN_PASSWORD:
          if (is("@")) change(IN_HOSTNAME, 1);
          break;
        case IN_HOSTNAME:
          if (is("[")) bracketDepth++;
          else if (is("]")) bracketDepth--;
          else if (is(":") && bracketDepth === 0) change(IN_PORT, 1);
          else changeAtPath();
          break;
        case IN_PORT:
          changeAtPath();
          break;
        case IN_PATHNAME:
          changeAtSearchOrHash();
          break;
        case IN_SEARCH:
          if (is("#")) change(IN_HASH, 1);
          break;
      }
    }
    if (result.hostname !== undefined) result.port ??= "";
    return result;
  };

  // --- URLPatternInit processing ---

  const isAbsolutePathname = (path, isPattern) => {
    const first = charCodeAt(path, 0);
    if (first === 47) return true;
    return isPattern && (first === 92 || first === 123) && charCodeAt(path, 1) === 47;
  };
  const withoutLast = (text, code) => {
    const last = text.length - 1;
    return charCodeAt(text, last) === code ? slice(text, 0, last) : text;
  };
  const withoutFirst = (text, code) => (charCodeAt(text, 0) === code ? slice(text, 1) : text);
  /** Process a URLPatternInit: for a pattern, or for a URL, whose components are empty if they do not exist. */
  const processInit = (init, isPattern) => {
    const empty = isPattern ? undefined : "";
    const result = {
      __proto__: null, protocol: empty, username: empty, password: empty, hostname: empty, port: empty, pathname: empty,
      search: empty, hash: empty,
    };
    const { protocol, username, password, hostname, port, pathname, search, hash } = init;
    let base = null;
    if (init.baseURL !== undefined) {
      base = urlComponents(init.baseURL, undefined);
      if (base === null) throw new TypeError(`URLPattern: invalid base URL: "${init.baseURL}"`);
      const inherit = isPattern ? escapePattern : (text) => text;
      // Each component is inherited only if neither it nor one before it is given.
      let inherits = protocol === undefined;
      if (inherits) result.protocol = inherit(base[0]);
      inherits &&= hostname === undefined;
      if (inherits) result.hostname = inherit(base[3]);
      inherits &&= port === undefined;
      if (inherits) result.port = base[4];
      if (inherits && !isPattern && username === undefined) {
        result.username = base[1];
        if (password === undefined) result.password = base[2];
      }
      inherits &&= pathname === undefined;
      if (inherits) result.pathname = inherit(base[5]);
      inherits &&= search === undefined;
      if (inherits) result.search = inherit(base[6]);
      inherits &&= hash === undefined;
      if (inherits) result.hash = inherit(base[7]);
    }
    const convert = (which, value, scheme) => (isPattern ? value : canonicalize(which, value, scheme));
    if (protocol !== undefined) result.protocol = convert(PROTOCOL, withoutLast(protocol, 58));
    if (username !== undefined) result.username = convert(USERNAME, username);
    if (password !== undefined) result.password = convert(PASSWORD, password);
    if (hostname !== undefined) result.hostname = convert(HOSTNAME, hostname);
    const scheme = result.protocol ?? "";
    if (port !== undefined) result.port = convert(PORT, port, scheme);
    if (pathname !== undefined) {
      let path = pathname;
      // An opaque path does not begin with a slash.
      if (base !== null && charCodeAt(base[5], 0) === 47 && !isAbsolutePathname(path, isPattern)) {
        const basePath = isPattern ? escapePattern(base[5]) : base[5];
        let slash = basePath.length - 1;
        while (slash >= 0 && charCodeAt(basePath, slash) !== 47) slash--;
        if (slash >= 0) path = slice(basePath, 0, slash + 1) + path;
      }
      const hierarchical = scheme === "" || DEFAULT_PORTS[scheme] !== undefined;
      result.pathname = convert(hierarchical ? PATHNAME : OPAQUE_PATHNAME, path);
    }
    if (search !== undefined) result.search = convert(SEARCH, withoutFirst(search, 63));
    if (hash !== undefined) result.hash = convert(HASH, withoutFirst(hash, 35));
    return result;
  };

  nexus.urlPatternInit = {
    __proto__: null, parseString, processInit, matchesSpecialScheme, urlComponents, encodings, DEFAULT_PORTS,
    DEFAULT_OPTIONS,
  };
})
