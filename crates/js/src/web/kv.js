// Key-value stores: what `env` has for a binding to a namespace of one. The interface is that of Workers KV, with versions
// and transactions beside it. https://developers.cloudflare.com/kv/api/
(function (nexus) {
  "use strict";
  const { ops } = nexus;
  const { finishInterface, illegalConstructor, usvString, integer, dictionary, bufferSource, isArrayBuffer, isObject } = nexus.webidl;
  const { isArray, isView, parse, stringify } = nexus.builtins;
  const { typedBuffer, mapSet, Map } = nexus.builtins.clonable;
  const TOKEN = nexus.builtins.Symbol();
  const TEXT = 0, BYTES = 1;
  const PUT = 0, DELETE = 1;
  const TYPES = ["text", "json", "arrayBuffer", "stream"];
  const MOST_LISTED = 1000;

  const typeOf = (options, what) => {
    const given = isObject(options) ? options.type : options;
    if (given === undefined || given === null) return "text";
    const type = `${given}`;
    for (let i = 0; i < TYPES.length; i++) if (TYPES[i] === type) return type;
    throw new TypeError(`${what}: "${type}" is no type of values: text, json, arrayBuffer or stream`);
  };
  const how = (type) => (type === "text" || type === "json" ? TEXT : BYTES);

  const streamOf = (bytes) =>
    nexus.createReadableStream({
      __proto__: null,
      bytes: true,
      highWaterMark: 0,
      pull(controller) {
        if (bytes.length > 0) controller.enqueue(bytes);
        controller.close();
      },
    });
  const converted = (value, type) => {
    switch (type) {
      case "text":
        return value;
      case "json":
        return parse(value);
      case "arrayBuffer":
        return typedBuffer(value);
      default:
        return streamOf(value);
    }
  };

  /** A whole number from 1 on, of an option. */
  const count = (value, what) => {
    const number = integer(value, 64, false, what, true);
    if (number < 1) throw new TypeError(`${what}: ${number} is below 1`);
    return number;
  };
  /** What follows a key in the list of changes for a value: the value, its metadata as JSON or null, its end or 0. */
  const putOptions = (options, what) => {
    const { expiration, expirationTtl, metadata } = dictionary(options, what);
    let expires = 0;
    if (expirationTtl !== undefined && expirationTtl !== null) {
      expires = ops.kvTime() + count(expirationTtl, `${what}: expirationTtl`);
    } else if (expiration !== undefined && expiration !== null) {
      expires = count(expiration, `${what}: expiration`);
      if (expires <= ops.kvTime()) throw new TypeError(`${what}: expiration is not in the future`);
    }
    let text = null;
    if (metadata !== undefined && metadata !== null) {
      text = stringify(metadata);
      if (text === undefined) throw new TypeError(`${what}: the metadata is nothing that JSON holds`);
    }
    return { __proto__: null, expires, text };
  };
  /** A value as the host takes it: a string or bytes. */
  const plainValue = (value, what) => {
    if (typeof value === "string") return value;
    if (isView(value) || isArrayBuffer(value)) return bufferSource(value, what);
    throw new TypeError(`${what}: the value is no string, ArrayBuffer, view or ReadableStream`);
  };

  class KVNamespace {
    #id;

    constructor(token, id) {
      if (token !== TOKEN) throw illegalConstructor();
      this.#id = id;
    }

    /** The value of a key, or null; of an array of keys a Map of values. */
    async get(key, options = undefined) {
      const id = this.#id;
      const type = typeOf(options, "get");
      if (isArray(key)) return getAll(id, key, type, "get", (entry) => converted(entry[0], type));
      const { 0: entry } = await ops.kvGet(id, how(type), [usvString(key)]);
      return entry === null ? null : converted(entry[0], type);
    }

    /** The same with the entry's metadata and version. */
    async getWithMetadata(key, options = undefined) {
      const id = this.#id;
      const type = typeOf(options, "getWithMetadata");
      if (isArray(key)) return getAll(id, key, type, "getWithMetadata", (entry) => withMetadata(entry, type), NOTHING);
      const { 0: entry } = await ops.kvGet(id, how(type), [usvString(key)]);
      return entry === null ? NOTHING() : withMetadata(entry, type);
    }

    /** Gives a key a value, in place of what it has. */
    async put(key, value, options = undefined) {
      const id = this.#id;
      const name = usvString(key);
      const { expires, text } = putOptions(options, "put");
      if (isObject(value) && nexus.isReadableStream(value)) value = (await nexus.readStream(value)).bytes;
      await ops.kvWrite(id, [], [PUT, name, plainValue(value, "put"), text, expires]);
    }

    /** Takes a key's value away; it is no error if it has none. */
    async delete(key) {
      await ops.kvWrite(this.#id, [], [DELETE, usvString(key)]);
    }

    /** Keys in the order of their UTF-8, a page at a time. */
    async list(options = undefined) {
      const id = this.#id;
      const { prefix, limit, cursor } = dictionary(options, "list");
      const most = limit === undefined || limit === null ? MOST_LISTED : count(limit, "list: limit");
      const { 0: listed, 1: next } = await ops.kvList(
        id,
        prefix === undefined || prefix === null ? "" : usvString(prefix),
        cursor === undefined || cursor === null || cursor === "" ? null : usvString(cursor),
        most,
      );
      const keys = [];
      for (let i = 0; i < listed.length; i += 3) {
        const key = { name: listed[i] };
        if (listed[i + 1] !== null) key.expiration = listed[i + 1];
        if (listed[i + 2] !== null) key.metadata = parse(listed[i + 2]);
        keys[keys.length] = key;
      }
      return next === null
        ? { keys, list_complete: true, cacheStatus: null }
        : { keys, list_complete: false, cursor: next, cacheStatus: null };
    }

    /** Several changes that are made together, if all that is checked holds. */
    atomic() {
      return new KVAtomicOperation(TOKEN, this.#id);
    }
  }

  const NOTHING = () => ({ value: null, metadata: null, version: null, cacheStatus: null });
  const withMetadata = (entry, type) => ({
    value: converted(entry[0], type),
    metadata: entry[1] === null ? null : parse(entry[1]),
    version: entry[2],
    cacheStatus: null,
  });
  const getAll = async (id, keys, type, what, convert, nothing = () => null) => {
    if (type !== "text" && type !== "json") throw new TypeError(`${what}: of several keys a type is text or json`);
    const names = [];
    for (let i = 0; i < keys.length; i++) names[i] = usvString(keys[i]);
    const entries = await ops.kvGet(id, TEXT, names);
    const values = new Map();
    for (let i = 0; i < names.length; i++) {
      mapSet(values, names[i], entries[i] === null ? nothing() : convert(entries[i]));
    }
    return values;
  };

  class KVAtomicOperation {
    #id;
    #checks = [];
    #changes = [];

    constructor(token, id) {
      if (token !== TOKEN) throw illegalConstructor();
      this.#id = id;
    }

    /** A key must have this version; null is that it has no value. */
    check(...checks) {
      const list = this.#checks;
      for (let i = 0; i < checks.length; i++) {
        const { key, version } = dictionary(checks[i], "check");
        list[list.length] = usvString(key);
        list[list.length] = version === null || version === undefined ? null : usvString(version);
      }
      return this;
    }

    /** Gives a key a value. */
    put(key, value, options = undefined) {
      const list = this.#changes;
      const name = usvString(key);
      const { expires, text } = putOptions(options, "put");
      const plain = plainValue(value, "put");
      const items = [PUT, name, plain, text, expires];
      for (let i = 0; i < items.length; i++) list[list.length] = items[i];
      return this;
    }

    /** Takes a key's value away. */
    delete(key) {
      const list = this.#changes;
      const name = usvString(key);
      list[list.length] = DELETE;
      list[list.length] = name;
      return this;
    }

    /** Makes all changes, or none. */
    async commit() {
      const version = await ops.kvWrite(this.#id, this.#checks, this.#changes);
      return version === null ? { ok: false } : { ok: true, version };
    }
  }

  finishInterface(KVNamespace, { global: false });
  finishInterface(KVAtomicOperation, { global: false });

  nexus.makeKvNamespace = (id) => new KVNamespace(TOKEN, id);
})
