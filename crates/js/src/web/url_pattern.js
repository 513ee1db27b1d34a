// URLPattern. https://urlpattern.spec.whatwg.org/#urlpattern-class
//
// A router asks many patterns about the same URL: it is parsed once. Components that are a plain text or that take
// anything are compared without a regular expression, and those before the others.
(function (nexus) {
  "use strict";
  const { defineProperty } = nexus.builtins;
  const { startsWith } = nexus.builtins.string;
  const { exec } = nexus.builtins.regexp;
  const { isObject, usvString, dictionary, finishInterface } = nexus.webidl;
  const { newList, compile, TEXT, PATTERN } = nexus.urlPatternParser;
  const {
    parseString, processInit, matchesSpecialScheme, urlComponents, encodings, DEFAULT_PORTS, DEFAULT_OPTIONS,
  } = nexus.urlPatternInit;

  // Where components are in the arrays of them.
  const PROTOCOL = 0, USERNAME = 1, PASSWORD = 2, HOSTNAME = 3, PORT = 4, PATHNAME = 5, SEARCH = 6, HASH = 7;

  // --- Conversions ---

  const INIT_MEMBERS = [
    "baseURL", "hash", "hostname", "password", "pathname", "port", "protocol", "search", "username",
  ];
  const toInit = (value, what) => {
    const source = dictionary(value, what);
    const init = { __proto__: null };
    for (let i = 0; i < INIT_MEMBERS.length; i++) {
      const member = source[INIT_MEMBERS[i]];
      if (member !== undefined) init[INIT_MEMBERS[i]] = usvString(member);
    }
    return init;
  };
  /** A URLPatternInput: a string, or an init. */
  const toInput = (value, what) => {
    if (value === undefined || value === null || isObject(value)) return toInit(value, what);
    // The last one was converted before.
    return lastValues !== null && value === lastInput ? value : usvString(value);
  };
  const toOptions = (value, what) => !!dictionary(value, what).ignoreCase;
  /** The dictionary that an init becomes in a result. */
  const fromInit = (init) => {
    const object = {};
    for (let i = 0; i < INIT_MEMBERS.length; i++) {
      const value = init[INIT_MEMBERS[i]];
      if (value !== undefined) put(object, INIT_MEMBERS[i], value);
    }
    return object;
  };
  const put = (object, name, value) =>
    defineProperty(object, name, { __proto__: null, value, writable: true, enumerable: true, configurable: true });

  // --- Patterns ---

  /** Create a URL pattern: its components. */
  const create = (input, baseURL, ignoreCase) => {
    let init = input;
    if (typeof input === "string") {
      init = parseString(input);
      if (baseURL !== null) init.baseURL = baseURL;
      else if (init.protocol === undefined) {
        throw new TypeError(`URLPattern: a pattern without a protocol needs a base URL: "${input}"`);
      }
    } else if (baseURL !== null) {
      throw new TypeError("URLPattern: a base URL is for strings; others have it among their members");
    }
    const {
      protocol = "*", username = "*", password = "*", hostname = "*", port = "*", pathname = "*", search = "*",
      hash = "*",
    } = processInit(init, true);
    const options = { __proto__: null, delimiter: "", prefix: "", ignoreCase };
    const protocolComponent = compile(protocol, DEFAULT_OPTIONS, encodings.protocol);
    const usernameComponent = compile(username, DEFAULT_OPTIONS, encodings.username);
    const passwordComponent = compile(password, DEFAULT_OPTIONS, encodings.password);
    const hostnameComponent = compile(
      hostname,
      { __proto__: null, delimiter: ".", prefix: "", ignoreCase: false },
      isIPv6(hostname) ? encodings.ipv6Hostname : encodings.hostname,
    );
    const isDefault = port !== "" && DEFAULT_PORTS[protocol] === port;
    const portComponent = compile(isDefault ? "" : port, DEFAULT_OPTIONS, encodings.port);
    const pathnameComponent = matchesSpecialScheme(protocolComponent)
      ? compile(pathname, { __proto__: null, delimiter: "/", prefix: "/", ignoreCase }, encodings.pathname)
      : compile(pathname, options, encodings.opaquePathname);
    const searchComponent = compile(search, options, encodings.search);
    const hashComponent = compile(hash, options, encodings.hash);
    return [
      protocolComponent, usernameComponent, passwordComponent, hostnameComponent, portComponent, pathnameComponent,
      searchComponent, hashComponent,
    ];
  };

  /** Hostname pattern is an IPv6 address. */
  const isIPv6 = (pattern) => pattern[0] === "[" || ((pattern[0] === "{" || pattern[0] === "\\") && pattern[1] === "[");

  // The order in which components are compared: those first that are most often different.
  const ORDER = [PATHNAME, HOSTNAME, PROTOCOL, PORT, SEARCH, HASH, USERNAME, PASSWORD];
  /** What there is to compare: the places of texts, and of regular expressions. */
  const planOf = (components) => {
    const texts = newList();
    const patterns = newList();
    for (let i = 0; i < ORDER.length; i++) {
      const { kind } = components[ORDER[i]];
      if (kind === TEXT) texts[texts.length] = ORDER[i];
      else if (kind === PATTERN) patterns[patterns.length] = ORDER[i];
    }
    return { __proto__: null, texts, patterns };
  };

  // The URL that was matched last.
  let lastInput;
  let lastBase;
  let lastValues = null;
  const parseInput = (input, base) => {
    if (lastValues !== null && input === lastInput && base === lastBase) return lastValues;
    const values = urlComponents(input, base);
    lastInput = input;
    lastBase = base;
    return (lastValues = values);
  };

  /** The values to match; `null` if they are no URL's. */
  const valuesOf = (input, base, what) => {
    if (typeof input === "string") return parseInput(input, base);
    if (base !== undefined) {
      throw new TypeError(`${what}: a base URL is for strings; others have it among their members`);
    }
    let init;
    try {
      init = processInit(input, false);
    } catch {
      return null;
    }
    const { protocol, username, password, hostname, port, pathname, search, hash } = init;
    return [protocol, username, password, hostname, port, pathname, search, hash];
  };

  /** Matches; with `results`, what the regular expressions give is put there. */
  const matches = (components, plan, values, results) => {
    const { texts, patterns } = plan;
    for (let i = 0; i < texts.length; i++) {
      const at = texts[i];
      if (components[at].text !== values[at]) return false;
    }
    for (let i = 0; i < patterns.length; i++) {
      const at = patterns[i];
      const { text, regexp } = components[at];
      if (text !== "" && !startsWith(values[at], text)) return false;
      const found = exec(regexp, values[at]);
      if (found === null) return false;
      if (results !== null) results[at] = found;
    }
    return true;
  };

  // Of an object literal, computed names are defined, whatever a guest has put on Object.prototype.
  const groupsOf = (names, found) => {
    switch (names.length) {
      case 0:
        return {};
      case 1:
        return { [names[0]]: found[1] };
      case 2:
        return { [names[0]]: found[1], [names[1]]: found[2] };
      case 3:
        return { [names[0]]: found[1], [names[1]]: found[2], [names[2]]: found[3] };
    }
    const groups = {};
    for (let i = 0; i < names.length; i++) put(groups, names[i], found[i + 1]);
    return groups;
  };
  /** Create a component match result. */
  const resultOf = (component, input, found) => {
    const { kind, names } = component;
    if (kind === TEXT) return { groups: {}, input };
    if (kind === PATTERN) return { groups: groupsOf(names, found), input };
    return { groups: names[0] === "0" ? { 0: input } : { [names[0]]: input }, input };
  };

  class URLPattern {
    #components;
    #plan;
    constructor(input = undefined, baseURL = undefined, options = undefined) {
      let base = null;
      const given = arguments.length;
      // Which of the two constructors it is.
      const withBase = given > 2 || (given === 2 && baseURL !== undefined && baseURL !== null && !isObject(baseURL));
      input = toInput(input, "URLPattern");
      if (withBase) base = usvString(baseURL);
      const ignoreCase = toOptions(withBase ? options : baseURL, "URLPattern");
      this.#components = create(input, base, ignoreCase);
      this.#plan = planOf(this.#components);
    }
    get protocol() {
      return this.#components[PROTOCOL].pattern;
    }
    get username() {
      return this.#components[USERNAME].pattern;
    }
    get password() {
      return this.#components[PASSWORD].pattern;
    }
    get hostname() {
      return this.#components[HOSTNAME].pattern;
    }
    get port() {
      return this.#components[PORT].pattern;
    }
    get pathname() {
      return this.#components[PATHNAME].pattern;
    }
    get search() {
      return this.#components[SEARCH].pattern;
    }
    get hash() {
      return this.#components[HASH].pattern;
    }
    get hasRegExpGroups() {
      const components = this.#components;
      for (let i = 0; i < components.length; i++) if (components[i].hasRegexpGroups) return true;
      return false;
    }
    test(input = undefined, baseURL = undefined) {
      const components = this.#components;
      input = toInput(input, "URLPattern.test");
      if (baseURL !== undefined) baseURL = usvString(baseURL);
      const values = valuesOf(input, baseURL, "URLPattern.test");
      return values !== null && matches(components, this.#plan, values, null);
    }
    exec(input = undefined, baseURL = undefined) {
      const components = this.#components;
      input = toInput(input, "URLPattern.exec");
      if (baseURL !== undefined) baseURL = usvString(baseURL);
      const values = valuesOf(input, baseURL, "URLPattern.exec");
      if (values === null) return null;
      const found = [null, null, null, null, null, null, null, null];
      if (!matches(components, this.#plan, values, found)) return null;
      const shown = typeof input === "string" ? input : fromInit(input);
      return {
        hash: resultOf(components[HASH], values[HASH], found[HASH]),
        hostname: resultOf(components[HOSTNAME], values[HOSTNAME], found[HOSTNAME]),
        inputs: baseURL === undefined ? [shown] : [shown, baseURL],
        password: resultOf(components[PASSWORD], values[PASSWORD], found[PASSWORD]),
        pathname: resultOf(components[PATHNAME], values[PATHNAME], found[PATHNAME]),
        port: resultOf(components[PORT], values[PORT], found[PORT]),
        protocol: resultOf(components[PROTOCOL], values[PROTOCOL], found[PROTOCOL]),
        search: resultOf(components[SEARCH], values[SEARCH], found[SEARCH]),
        username: resultOf(components[USERNAME], values[USERNAME], found[USERNAME]),
      };
    }
  }
  finishInterface(URLPattern);
})
