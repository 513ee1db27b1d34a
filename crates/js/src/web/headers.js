// Headers. Fetch Standard, section 5.1. https://fetch.spec.whatwg.org/#headers-class
//
// A header list is a flat array: name, value, name, value, …, names in lower case. Of the guards only "immutable" has
// an effect: the forbidden names protect a browser's user, and there is none here.
(function (nexus) {
  "use strict";
  const { required, byteString, isObject, sequence, finishInterface, pairIterable, uncurryThis } = nexus.webidl;
  const test = uncurryThis(RegExp.prototype.test);
  const toLowerCase = uncurryThis(String.prototype.toLowerCase);
  const charCodeAt = uncurryThis(String.prototype.charCodeAt);
  const slice = uncurryThis(String.prototype.slice);
  const sort = uncurryThis(Array.prototype.sort);
  const { keys } = Object;

  const TOKEN = /^[!#$%&'*+\-.^_\x60|~0-9A-Za-z]+$/;
  const BAD_VALUE = /[\0\r\n]/;
  const PLAIN_VALUE = /^(?:[!-~](?:[ -~]*[!-~])?)?$/;

  // Names seen so far, in lower case: apps use few. Bounded, for a guest may use many.
  let known = { __proto__: null };
  let knownCount = 0;
  const normalizeName = (name, what) => {
    let lower = known[name];
    if (lower !== undefined) return lower;
    const string = byteString(name, what);
    if (!test(TOKEN, string)) throw new TypeError(`${what}: "${string}" is not a header name`);
    lower = toLowerCase(string);
    if (string === name) {
      if (++knownCount > 200) {
        known = { __proto__: null };
        knownCount = 1;
      }
      known[name] = lower;
    }
    return lower;
  };

  // Values that are fine as they are, likewise.
  let plain = { __proto__: null };
  let plainCount = 0;
  const isSpace = (code) => code === 32 || code === 9 || code === 10 || code === 13;
  const normalizeValue = (value, what) => {
    if (typeof value === "string") {
      if (plain[value] === true) return value;
      if (test(PLAIN_VALUE, value)) {
        if (value.length < 64) {
          if (++plainCount > 200) {
            plain = { __proto__: null };
            plainCount = 1;
          }
          plain[value] = true;
        }
        return value;
      }
    }
    let string = byteString(value, what);
    let start = 0;
    let end = string.length;
    while (start < end && isSpace(charCodeAt(string, start))) start++;
    while (end > start && isSpace(charCodeAt(string, end - 1))) end--;
    if (start > 0 || end < string.length) string = slice(string, start, end);
    if (test(BAD_VALUE, string)) throw new TypeError(`${what}: the value contains a line break or NUL`);
    return string;
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

  const fillFromIterable = (list, init, method, what) => {
    if (method === entries && nexus.isHeaders(init)) {
      const other = nexus.headersList(init);
      for (let i = 0; i < other.length; i++) list[list.length] = other[i];
      return;
    }
    const pairs = sequence(init, what, (pair) => sequence(pair, what));
    for (let i = 0; i < pairs.length; i++) {
      if (pairs[i].length !== 2) throw new TypeError(`${what}: each field must be a [name, value] pair`);
      const name = normalizeName(pairs[i][0], what);
      const value = normalizeValue(pairs[i][1], what);
      list[list.length] = name;
      list[list.length] = value;
    }
  };

  // Adds the fields of an initializer: another Headers, a sequence of pairs, or a record.
  const fill = (list, init, what) => {
    if (!isObject(init)) throw new TypeError(`${what}: the initializer is not an object`);
    const method = init[Symbol.iterator];
    if (method !== undefined && method !== null) {
      fillFromIterable(list, init, method, what);
      return;
    }
    const names = keys(init);
    for (let i = 0; i < names.length; i++) {
      const key = names[i];
      const name = normalizeName(key, what);
      const value = normalizeValue(init[key], what);
      list[list.length] = name;
      list[list.length] = value;
    }
  };

  class Headers {
    #list;
    #immutable = false;
    // Sorted and combined for iteration; null after a change.
    #sorted = null;

    constructor(init = undefined) {
      this.#list = [];
      if (init !== undefined) fill(this.#list, init, "Headers");
    }

    #change() {
      if (this.#immutable) throw new TypeError("Headers: these headers are immutable");
      this.#sorted = null;
    }

    append(name, value) {
      required(arguments.length, 2, "Headers.append");
      const list = this.#list;
      name = normalizeName(name, "Headers.append");
      value = normalizeValue(value, "Headers.append");
      this.#change();
      list[list.length] = name;
      list[list.length] = value;
    }

    delete(name) {
      required(arguments.length, 1, "Headers.delete");
      const list = this.#list;
      name = normalizeName(name, "Headers.delete");
      this.#change();
      remove(list, name);
    }

    get(name) {
      required(arguments.length, 1, "Headers.get");
      return get(this.#list, normalizeName(name, "Headers.get"));
    }

    getSetCookie() {
      const list = this.#list;
      const cookies = [];
      for (let i = 0; i < list.length; i += 2) if (list[i] === "set-cookie") cookies[cookies.length] = list[i + 1];
      return cookies;
    }

    has(name) {
      required(arguments.length, 1, "Headers.has");
      return find(this.#list, normalizeName(name, "Headers.has")) >= 0;
    }

    set(name, value) {
      required(arguments.length, 2, "Headers.set");
      const list = this.#list;
      name = normalizeName(name, "Headers.set");
      value = normalizeValue(value, "Headers.set");
      this.#change();
      set(list, name, value);
    }

    static {
      nexus.isHeaders = (value) => isObject(value) && #list in value;
      nexus.headersList = (headers) => headers.#list;
      // Takes the list over; it is not copied.
      nexus.makeHeaders = (list, immutable) => {
        const headers = new Headers();
        headers.#list = list;
        headers.#immutable = immutable;
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
    const seen = { __proto__: null };
    for (let i = 0; i < list.length; i += 2) {
      if (seen[list[i]] === undefined) {
        seen[list[i]] = true;
        names[names.length] = list[i];
      }
    }
    sort(names);
    const pairs = [];
    for (let i = 0; i < names.length; i++) {
      const name = names[i];
      if (name !== "set-cookie") {
        pairs[pairs.length] = [name, get(list, name)];
        continue;
      }
      for (let k = 0; k < list.length; k += 2) if (list[k] === name) pairs[pairs.length] = [name, list[k + 1]];
    }
    return pairs;
  };

  const entries = Headers.prototype[Symbol.iterator];
  nexus.Headers = finishInterface(Headers);
  nexus.fillHeaders = fill;
  nexus.headerGet = get;
  nexus.headerSet = set;
  nexus.headerFind = find;
  nexus.copyHeaders = (list) => {
    const copy = [];
    for (let i = 0; i < list.length; i++) copy[i] = list[i];
    return copy;
  };
})
