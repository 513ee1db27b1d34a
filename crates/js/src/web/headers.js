// Headers. Fetch Standard, section 5.1. https://fetch.spec.whatwg.org/#headers-class
//
// A header list is a flat array: name, value, name, value, …, names in lower case. Of the guards "immutable" and
// "request-no-cors" have an effect. "request" and "response" refuse the names that a browser sets itself, to protect its
// user's cookies and the servers of others; on a server they would take the app's own fields from it (`cookie`,
// `set-cookie`, `host`). The WinterTC's Minimum Common Web API leaves them out likewise.
(function (nexus) {
  "use strict";
  const { required, domString, byteString, isObject, iterate, finishInterface, pairIterable, uncurryThis } = nexus.webidl;
  const { ownKeys, keys: keysOf, isEnumerable, iterator, defineProperty, getPrototypeOf } = nexus.builtins;
  const { toLowerCase, charCodeAt, slice } = nexus.builtins.string;
  const symbolsOf = Object.getOwnPropertySymbols;
  const sort = uncurryThis(Array.prototype.sort);
  // Not `test`: that one calls a guest's `exec`. What is looked for is what should not be there: nothing found costs
  // nothing.
  const { exec } = nexus.builtins.regexp;

  const NOT_TOKEN = /[^!#$%&'*+\-.^_\x60|~0-9A-Za-z]/;
  const BAD_VALUE = /[\0\r\n]/;
  const NOT_PLAIN = /[^ -~]|^ | $/;

  const arrayValues = Array.prototype[iterator];
  const ArrayIterator = getPrototypeOf([][iterator]());
  const arrayNext = ArrayIterator.next;
  /** Whether the iterator that `method` makes does what a loop over the indices does. */
  const isListLike = (method) => method === arrayValues && ArrayIterator.next === arrayNext;

  // Whether there may be proxies: nobody has one who has not asked for their constructor. Of ordinary objects the keys
  // can be asked for in a way that is many times as fast, and a proxy would notice.
  let proxies = false;
  const { Proxy: NativeProxy } = globalThis;
  const putProxy = (value) => nexus.define("Proxy", value);
  defineProperty(globalThis, "Proxy", {
    __proto__: null,
    get() {
      proxies = true;
      putProxy(NativeProxy);
      return NativeProxy;
    },
    set: putProxy,
    configurable: true,
    enumerable: false,
  });

  // Names seen so far, in lower case: apps use few. Bounded, for a guest may use many.
  let known = { __proto__: null };
  let knownCount = 0;
  /** A valid name in lower case. */
  const normalizeName = (name, what) => {
    const seen = known[name];
    if (seen !== undefined) return seen;
    byteString(name, what);
    if (name === "" || exec(NOT_TOKEN, name) !== null) throw new TypeError(`${what}: "${name}" is not a header name`);
    const lower = toLowerCase(name);
    if (name.length >= 64) return lower;
    if (++knownCount > 200) {
      known = { __proto__: null };
      knownCount = 1;
    }
    known[name] = lower;
    return lower;
  };

  // Values that are fine as they are, likewise.
  let plain = { __proto__: null };
  let plainCount = 0;
  const isSpace = (code) => code === 32 || code === 9 || code === 10 || code === 13;
  /** Whether a string is a value as it is. */
  const isPlain = (value) => {
    if (plain[value] === true) return true;
    if (exec(NOT_PLAIN, value) !== null) return false;
    if (value.length < 64) {
      if (++plainCount > 200) {
        plain = { __proto__: null };
        plainCount = 1;
      }
      plain[value] = true;
    }
    return true;
  };
  /** A value without spaces around it; throws TypeError if it is none. */
  const normalizeValue = (value, what) => {
    if (isPlain(value)) return value;
    byteString(value, what);
    let start = 0;
    let end = value.length;
    while (start < end && isSpace(charCodeAt(value, start))) start++;
    while (end > start && isSpace(charCodeAt(value, end - 1))) end--;
    if (start > 0 || end < value.length) value = slice(value, start, end);
    if (exec(BAD_VALUE, value) !== null) throw new TypeError(`${what}: the value contains a line break or NUL`);
    return value;
  };

  const find = (list, name) => {
    for (let i = 0; i < list.length; i += 2) if (list[i] === name) return i;
    return -1;
  };

  const get = (list, name) => {
    let value = null;
    for (let i = 0; i < list.length; i += 2) {
      if (list[i] === name) value = value === null ? list[i + 1] : `${value}, ${list[i + 1]}`;
    }
    return value;
  };

  const remove = (list, name) => {
    let kept = 0;
    for (let i = 0; i < list.length; i += 2) {
      if (list[i] !== name) {
        list[kept] = list[i];
        list[kept + 1] = list[i + 1];
        kept += 2;
      }
    }
    list.length = kept;
  };

  const set = (list, name, value) => {
    const first = find(list, name);
    if (first < 0) {
      list[list.length] = name;
      list[list.length] = value;
      return;
    }
    list[first + 1] = value;
    let kept = first + 2;
    for (let i = kept; i < list.length; i += 2) {
      if (list[i] !== name) {
        list[kept] = list[i];
        list[kept + 1] = list[i + 1];
        kept += 2;
      }
    }
    list.length = kept;
  };

  /** The strings of one pair of a sequence. */
  const pairOf = (pair, what) => {
    const method = isObject(pair) ? pair[iterator] : undefined;
    if (typeof method !== "function") throw new TypeError(`${what}: a field is not a [name, value] pair`);
    const strings = [];
    if (isListLike(method)) for (let i = 0; i < pair.length; i++) strings[i] = byteString(pair[i], what);
    else iterate(method, pair, (item) => (strings[strings.length] = byteString(item, what)), what);
    return strings;
  };

  /**
   * Web IDL's part of filling a list from another Headers, a sequence of pairs, or a record: appends what they convert
   * to. Says whether that still has to be checked, with `checkFields`: conversions run the guest's code, and all of them
   * come before the first check.
   */
  const convertFields = (list, init, what) => {
    if (!isObject(init)) throw new TypeError(`${what}: the headers are not an object`);
    const method = init[iterator];
    if (method !== undefined && method !== null) {
      if (method === entries && nexus.isHeaders(init)) {
        const other = nexus.headersList(init);
        for (let i = 0; i < other.length; i++) list[list.length] = other[i];
        return false;
      }
      return convertIterable(list, init, method, what);
    }
    // A symbol among them is no name: Web IDL has it throw.
    const strict = proxies || symbolsOf(init).length > 0;
    return convertRecord(list, init, strict ? ownKeys(init) : keysOf(init), strict, what);
  };

  const convertIterable = (list, init, method, what) => {
    if (typeof method !== "function") throw new TypeError(`${what}: the headers are not iterable`);
    let short = false;
    const add = (item) => {
      const pair = pairOf(item, what);
      short ||= pair.length !== 2;
      list[list.length] = pair[0];
      list[list.length] = pair[1];
    };
    if (isListLike(method)) for (let i = 0; i < init.length; i++) add(init[i]);
    else iterate(method, init, add, what);
    if (short) throw new TypeError(`${what}: a field is not a [name, value] pair`);
    return true;
  };

  // Not `strict`, the keys are those of an ordinary object's properties that are enumerable.
  const convertRecord = (list, init, keys, strict, what) => {
    let unchecked = false;
    for (let i = 0; i < keys.length; i++) {
      const key = keys[i];
      if (strict && !isEnumerable(init, key)) continue;
      let name = known[key];
      if (name === undefined) {
        unchecked = true;
        name = byteString(key, what);
      }
      let value = init[key];
      if (typeof value !== "string" || !isPlain(value)) {
        // A getter may have removed it meanwhile.
        if (value === undefined && !strict && !isEnumerable(init, key)) continue;
        unchecked = true;
        value = byteString(value, what);
      }
      list[list.length] = name;
      list[list.length] = value;
    }
    return unchecked;
  };

  /** Checks and normalizes the fields that `convertFields` has put into a list. */
  const checkFields = (list, what) => {
    for (let i = 0; i < list.length; i += 2) {
      list[i] = normalizeName(list[i], what);
      list[i + 1] = normalizeValue(list[i + 1], what);
    }
  };

  class Headers {
    #list;
    // `true` for "immutable", "no-cors", or `false` for all others.
    #guard = false;
    // Sorted and combined for iteration; null after a change.
    #sorted = null;

    constructor(init = undefined) {
      const list = (this.#list = []);
      if (init !== undefined && convertFields(list, init, "Headers")) checkFields(list, "Headers");
    }

    // False if the guard has nothing happen.
    #change(name, value) {
      this.#sorted = null;
      if (this.#guard === false) return true;
      if (this.#guard === true) throw new TypeError("Headers: these headers are immutable");
      return nexus.isNoCorsField(name, value);
    }

    append(name, value) {
      const list = this.#list;
      required(arguments.length, 2, "Headers.append");
      if (typeof name !== "string" || typeof value !== "string") {
        name = byteString(name, "Headers.append");
        value = byteString(value, "Headers.append");
      }
      name = normalizeName(name, "Headers.append");
      value = normalizeValue(value, "Headers.append");
      if (this.#guard !== false) {
        const before = get(list, name);
        if (!this.#change(name, before === null ? value : `${before}, ${value}`)) return;
      }
      this.#sorted = null;
      list[list.length] = name;
      list[list.length] = value;
    }

    delete(name) {
      const list = this.#list;
      required(arguments.length, 1, "Headers.delete");
      name = normalizeName(domString(name), "Headers.delete");
      this.#change(name, "");
      remove(list, name);
    }

    get(name) {
      const list = this.#list;
      required(arguments.length, 1, "Headers.get");
      return get(list, normalizeName(domString(name), "Headers.get"));
    }

    getSetCookie() {
      const list = this.#list;
      const cookies = [];
      for (let i = 0; i < list.length; i += 2) if (list[i] === "set-cookie") cookies[cookies.length] = list[i + 1];
      return cookies;
    }

    has(name) {
      const list = this.#list;
      required(arguments.length, 1, "Headers.has");
      return find(list, normalizeName(domString(name), "Headers.has")) >= 0;
    }

    set(name, value) {
      const list = this.#list;
      required(arguments.length, 2, "Headers.set");
      if (typeof name !== "string" || typeof value !== "string") {
        name = byteString(name, "Headers.set");
        value = byteString(value, "Headers.set");
      }
      name = normalizeName(name, "Headers.set");
      value = normalizeValue(value, "Headers.set");
      if (!this.#change(name, value)) return;
      set(list, name, value);
    }

    static {
      nexus.isHeaders = (value) => isObject(value) && #list in value;
      nexus.headersList = (headers) => headers.#list;
      nexus.headersGuard = (headers) => headers.#guard;
      // Takes the list over; it is not copied.
      nexus.makeHeaders = (list, guard) => {
        const headers = new Headers();
        headers.#list = list;
        headers.#guard = guard;
        return headers;
      };
      pairIterable(Headers, (headers, index) => {
        headers.#sorted ??= sortAndCombine(headers.#list);
        return headers.#sorted[index];
      });
    }
  }

  const sortAndCombine = (list) => {
    const names = [];
    const values = { __proto__: null };
    for (let i = 0; i < list.length; i += 2) {
      const name = list[i];
      const value = list[i + 1];
      const before = values[name];
      if (before === undefined) names[names.length] = name;
      values[name] = before === undefined ? value : `${before}, ${value}`;
    }
    sort(names);
    const pairs = [];
    for (let i = 0; i < names.length; i++) {
      const name = names[i];
      if (name !== "set-cookie") {
        pairs[pairs.length] = [name, values[name]];
        continue;
      }
      for (let k = 0; k < list.length; k += 2) if (list[k] === name) pairs[pairs.length] = [name, list[k + 1]];
    }
    return pairs;
  };

  const entries = Headers.prototype[iterator];
  nexus.Headers = finishInterface(Headers);
  nexus.convertFields = convertFields;
  nexus.checkFields = checkFields;
  nexus.headerGet = get;
  nexus.headerSet = set;
  nexus.headerFind = find;
  nexus.copyHeaders = (list) => {
    const copy = [];
    for (let i = 0; i < list.length; i++) copy[i] = list[i];
    return copy;
  };
})
