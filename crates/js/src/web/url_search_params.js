// URLSearchParams, and application/x-www-form-urlencoded. https://url.spec.whatwg.org/#interface-urlsearchparams
(function (nexus) {
  "use strict";
  const { ops } = nexus;
  const { required, usvString, isObject, sequence, record, finishInterface, pairIterable } = nexus.webidl;
  const { apply, iterator, sort, decodeURIComponent: decode } = nexus.builtins;
  const { slice, indexOf, charCodeAt, replaceAll } = nexus.builtins.string;

  /** One component's text. */
  const decodeComponent = (text, plus, percent) => {
    if (plus && indexOf(text, "+") !== -1) text = replaceAll(text, "+", " ");
    if (!percent || indexOf(text, "%") === -1) return text;
    if (!malformed) {
      try {
        return decode(text);
      } catch {
        malformed = true;
      }
    }
    return ops.formDecode(text);
  };
  // Whether what is parsed has had percent signs that are no valid UTF-8. The native side takes over then: an exception
  // for each component would take long.
  let malformed = false;

  /** Names and values, in turn, of a query without its question mark, from `start` on. */
  const parseForm = (query, start = 0) => {
    const list = [];
    const { length } = query;
    malformed = false;
    const anyPlus = indexOf(query, "+", start) !== -1;
    const anyPercent = indexOf(query, "%", start) !== -1;
    // The first one that is not behind `start`. It is not looked for anew in each component: there may be none at all.
    let equals = -1;
    while (start < length) {
      let end = indexOf(query, "&", start);
      if (end === -1) end = length;
      if (end > start) {
        if (equals < start) equals = indexOf(query, "=", start);
        if (equals === -1) equals = length;
        const middle = equals < end ? equals : end;
        list[list.length] = decodeComponent(slice(query, start, middle), anyPlus, anyPercent);
        list[list.length] = middle === end ? "" : decodeComponent(slice(query, middle + 1, end), anyPlus, anyPercent);
      }
      start = end + 1;
    }
    return list;
  };

  // What ASCII characters become, empty for those that stand for themselves.
  const ESCAPES = [];
  for (let code = 0; code < 128; code++) {
    const digit = code >= 48 && code <= 57;
    const letter = (code >= 65 && code <= 90) || (code >= 97 && code <= 122);
    if (code === 32) ESCAPES[code] = "+";
    else if (digit || letter || code === 42 || code === 45 || code === 46 || code === 95) ESCAPES[code] = "";
    else ESCAPES[code] = `%${"0123456789ABCDEF"[code >> 4]}${"0123456789ABCDEF"[code & 15]}`;
  }
  const encodeComponent = (text) => {
    let out = "";
    let clean = 0;
    for (let i = 0; i < text.length; i++) {
      const code = charCodeAt(text, i);
      if (code > 127) return ops.formEncode(text);
      const escape = ESCAPES[code];
      if (escape === "") continue;
      out += slice(text, clean, i) + escape;
      clean = i + 1;
    }
    return clean === 0 ? text : out + slice(text, clean);
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
      // A URL's query object. `search` is empty or has its question mark.
      nexus.makeURLSearchParams = (url) => {
        const params = new URLSearchParams();
        params.#url = url;
        return params;
      };
      nexus.resetURLSearchParams = (params, search) => {
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
      const method = init[iterator];
      if (method === undefined || method === null) {
        this.#list = record(init, usvString, usvString);
        return;
      }
      if (typeof method !== "function") throw new TypeError("URLSearchParams: not iterable");
      const toPair = (pair) => sequence(pair, "URLSearchParams: a pair", usvString);
      // The method is not to be looked up once more.
      const pairs = sequence({ __proto__: null, [iterator]: () => apply(method, init, []) }, "URLSearchParams", toPair);
      const list = this.#list;
      for (let i = 0; i < pairs.length; i++) {
        const pair = pairs[i];
        if (pair.length !== 2) throw new TypeError(`URLSearchParams: a pair has ${pair.length} elements`);
        list[list.length] = pair[0];
        list[list.length] = pair[1];
      }
    }
    #update() {
      if (this.#url !== null) nexus.urlQueryChanged(this.#url);
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
  finishInterface(URLSearchParams);
  /** Names and values, in turn, of an application/x-www-form-urlencoded text. */
  nexus.parseUrlEncoded = (text) => parseForm(text);
})
