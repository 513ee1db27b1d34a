// Web Crypto: keys, and how they are made, read and written.
(function (nexus) {
  "use strict";
  const { ops } = nexus;
  const { fails, HASHES, CURVES } = nexus.cryptoAlgorithms;
  const { domString, isObject, finishInterface, illegalConstructor, SafeSet } = nexus.webidl;
  const { freeze, typedLength, copyBytes, defineProperty, getPrototypeOf, setPrototypeOf, isArray, Promise } = nexus.builtins;
  const { slice, indexOf } = nexus.builtins.string;

  // How the host is asked for a kind of keys, and in which format.
  const RSA = 0, EC = 1, ED25519 = 2, X25519 = 3;
  const RAW = 0, SPKI = 1, PKCS8 = 2;

  /** What the host gave: what it could not do comes as the name and the message of an exception. */
  const given = (value) => {
    if (typeof value !== "string") return value;
    const at = indexOf(value, ":");
    throw fails(slice(value, 0, at), slice(value, at + 1));
  };

  // What the guest has put on these prototypes gets nothing of what is made here: lists grow by properties of their own,
  // and what the guest gets is made without a prototype at first.
  const ObjectPrototype = getPrototypeOf({});
  const append = (list, value) =>
    defineProperty(list, list.length, { __proto__: null, value, writable: true, enumerable: true, configurable: true });
  const sequence = (value, what, convert) => nexus.webidl.sequence(value, what, convert, append);
  const forGuest = (object) => setPrototypeOf(object, ObjectPrototype);

  // What the host answers is a value, or, later, a box with the promise of a box with it. A box has no prototype, and its
  // promise gets a constructor of its own: `await` asks both for `then` or `constructor`, and finds nothing of the guest's.
  const isLater = (answer) => isObject(answer) && getPrototypeOf(answer) === null;
  const CONSTRUCTOR = { __proto__: null, value: Promise };
  const promiseOf = ({ promise }) => defineProperty(promise, "constructor", CONSTRUCTOR);

  // --- CryptoKey ---

  const USAGES = freeze(["encrypt", "decrypt", "sign", "verify", "deriveKey", "deriveBits", "wrapKey", "unwrapKey"]);
  const contains = (list, item) => {
    for (let i = 0; i < list.length; i++) if (list[i] === item) return true;
    return false;
  };
  /** Of `usages` those in `allowed`, in the standard's order, each once. */
  const among = (usages, allowed) => {
    const kept = [];
    for (let i = 0; i < USAGES.length; i++) {
      if (contains(usages, USAGES[i]) && contains(allowed, USAGES[i])) append(kept, USAGES[i]);
    }
    return kept;
  };
  const copied = (algorithm) => {
    const copy = { __proto__: null };
    for (const name in algorithm) {
      const value = algorithm[name];
      copy[name] = name === "hash" ? { name: value } : name === "publicExponent" ? copyBytes(value) : value;
    }
    return forGuest(copy);
  };

  const TOKEN = { __proto__: null };
  let partsOf;
  class CryptoKey {
    // What only we hold: `type`, `extractable`, `algorithm`, `usages`, and the host's key: the object that it lives with,
    // and its number.
    #parts;
    #algorithm;
    #usages;

    constructor() {
      if (arguments[0] !== TOKEN) throw illegalConstructor();
      this.#parts = arguments[1];
    }

    static {
      partsOf = (key) => key.#parts;
      nexus.isCryptoKey = (value) => isObject(value) && #parts in value;
    }

    /** "public", "private" or "secret". */
    get type() {
      return this.#parts.type;
    }

    /** Whether it may be exported. */
    get extractable() {
      return this.#parts.extractable;
    }

    /** What it is a key of. */
    get algorithm() {
      return (this.#algorithm ??= copied(this.#parts.algorithm));
    }

    /** What it may be used for. */
    get usages() {
      return (this.#usages ??= among(this.#parts.usages, USAGES));
    }
  }
  finishInterface(CryptoKey);

  /** A key around the host's, which is `[object that it lives with, number]`. */
  const makeKey = (held, type, algorithm, extractable, usages) =>
    new CryptoKey(TOKEN, { __proto__: null, holder: held[0], id: held[1], type, algorithm, extractable, usages });

  /** The same key for `structuredClone`. */
  nexus.cloneKey = (key) => new CryptoKey(TOKEN, partsOf(key));

  // --- what is common to the algorithms ---

  const allow = (usages, allowed) => {
    for (let i = 0; i < usages.length; i++) {
      if (!contains(allowed, usages[i])) throw fails("SyntaxError", `a key of this kind is not for ${usages[i]}`);
    }
  };
  const bits = (bytes) => 8 * typedLength(bytes);
  const notAForm = (format, name) => fails("NotSupportedError", `${name} has no keys in the format ${format}`);

  // --- JSON Web Keys. RFC 7517 ---

  const MEMBERS = ["alg", "crv", "d", "dp", "dq", "e", "ext", "k", "key_ops", "kty", "n", "oth", "p", "q", "qi", "use", "x", "y"];
  const list = (value) => sequence(value, "JsonWebKey: key_ops", domString);
  /** The dictionary `RsaOtherPrimesInfo`, of which nothing is used. */
  const prime = (value) => {
    if (value === undefined || value === null) return;
    if (!isObject(value)) throw new TypeError("JsonWebKey: oth: not a list of objects");
    for (let i = 0; i < PRIME.length; i++) {
      const member = value[PRIME[i]];
      if (member !== undefined) domString(member);
    }
  };
  const PRIME = ["d", "r", "t"];
  const primes = (value) => sequence(value, "JsonWebKey: oth", prime);
  /** The dictionary `JsonWebKey`; its members are the guest's. */
  const toJwk = (value) => jwkFrom(value, domString, list, primes);

  const jwkFrom = (value, text, texts, oth) => {
    const jwk = { __proto__: null };
    if (value === undefined || value === null) return jwk;
    for (let i = 0; i < MEMBERS.length; i++) {
      const name = MEMBERS[i];
      const member = value[name];
      if (member === undefined) continue;
      jwk[name] = name === "ext" ? !!member : name === "key_ops" ? texts(member) : name === "oth" ? oth(member) : text(member);
    }
    return jwk;
  };

  /**
   * The same of what `JSON.parse` gave, which the standard reads in a global object of its own: no method of the guest's is
   * asked, as it would see the key.
   */
  const parsedJwk = (value) => jwkFrom(setPrototypeOf(value, null), parsedText, parsedTexts, parsedPrimes);
  const parsedText = (value) => {
    if (!isObject(value)) return `${value}`;
    if (!isArray(value)) return "[object Object]";
    let text = "";
    for (let i = 0; i < value.length; i++) text += `${i > 0 ? "," : ""}${value[i] === null ? "" : parsedText(value[i])}`;
    return text;
  };
  const parsedList = (value, convert) => {
    if (!isArray(value)) throw new TypeError("JsonWebKey: key_ops, oth: not iterable");
    const items = [];
    for (let i = 0; i < value.length; i++) append(items, convert(value[i]));
    return items;
  };
  const parsedTexts = (value) => parsedList(value, parsedText);
  const parsedPrimes = (value) => parsedList(value, parsedPrime);
  const parsedPrime = (value) => {
    if (value !== null && !isObject(value)) throw new TypeError("JsonWebKey: oth: not a list of objects");
  };

  const wrong = (what) => fails("DataError", `the JSON Web Key is not right: ${what}`);
  const isOf = (jwk, kty) => {
    if (jwk.kty !== kty) throw wrong(`its kty is not "${kty}"`);
  };
  /** What a JSON Web Key says of its use: is it in accord with what is asked for? */
  const permits = (jwk, use, extractable, usages) => {
    if (usages.length > 0 && jwk.use !== undefined && jwk.use !== use) throw wrong(`its use is not "${use}"`);
    const { key_ops } = jwk;
    if (key_ops !== undefined) {
      const seen = new SafeSet();
      for (let i = 0; i < key_ops.length; i++) seen.add(key_ops[i]);
      if (seen.size !== key_ops.length) throw wrong("its key_ops has one twice");
      for (let i = 0; i < usages.length; i++) {
        if (!contains(key_ops, usages[i])) throw wrong(`its key_ops has no "${usages[i]}"`);
      }
    }
    if (jwk.ext === false && extractable) throw wrong("it is not to be extractable");
  };
  const hasAlg = (jwk, alg) => {
    if (jwk.alg !== undefined && jwk.alg !== alg) throw wrong(`its alg is not "${alg}"`);
  };
  /** A JSON Web Key, without a prototype: `forGuest` gives it one. */
  const newJwk = (kty, alg, parts) => {
    const jwk = { __proto__: null, kty };
    if (alg !== undefined) jwk.alg = alg;
    jwk.key_ops = among(parts.usages, USAGES);
    jwk.ext = parts.extractable;
    return jwk;
  };

  // --- secret keys: AES, HMAC, and what others are derived from ---

  /** The host takes the bytes, which nobody else has, and leaves zeroes. */
  const secretKey = (bytes, algorithm, extractable, usages) =>
    makeKey(ops.cryptoSecret(bytes, algorithm.length === bits(bytes) ? undefined : algorithm.length), "secret", algorithm, extractable, usages);

  const secretOf = (format, data, jwkUse, extractable, usages, name) => {
    if (format === "raw") return data;
    if (format !== "jwk") throw notAForm(format, name);
    isOf(data, "oct");
    if (data.k === undefined) throw wrong("it has no k");
    const bytes = ops.cryptoFromBase64(data.k);
    if (bytes === null) throw wrong("its k is no base64url");
    return bytes;
  };

  const secretJwk = (parts, alg) => {
    const jwk = newJwk("oct", alg, parts);
    jwk.k = ops.cryptoSecretText(parts.id);
    return jwk;
  };
  const exportSecret = (format, parts, alg) => {
    if (format === "raw") return ops.cryptoSecretBytes(parts.id);
    if (format === "jwk") return secretJwk(parts, alg);
    throw notAForm(format, parts.algorithm.name);
  };

  const aes = (usages) => {
    const isLength = (length) => length === 128 || length === 192 || length === 256;
    const alg = (length, name) => `A${length}${slice(name, 4)}`;
    return {
      __proto__: null,
      generate({ length }, asked) {
        allow(asked, usages);
        if (!isLength(length)) throw fails("OperationError", "an AES key has 128, 192 or 256 bits");
        return ops.cryptoRandomSecret(length);
      },
      made: (held, { name, length }, extractable, asked) =>
        makeKey(held, "secret", { __proto__: null, name, length }, extractable, asked),
      import(format, data, { name }, extractable, asked) {
        allow(asked, usages);
        const bytes = secretOf(format, data, "enc", extractable, asked, name);
        const length = bits(bytes);
        if (!isLength(length)) throw fails("DataError", "an AES key has 128, 192 or 256 bits");
        if (format === "jwk") {
          hasAlg(data, alg(length, name));
          permits(data, "enc", extractable, asked);
        }
        return secretKey(bytes, { __proto__: null, name, length }, extractable, asked);
      },
      export: (format, parts) => exportSecret(format, parts, alg(parts.algorithm.length, parts.algorithm.name)),
      length({ length }) {
        if (!isLength(length)) throw fails("OperationError", "an AES key has 128, 192 or 256 bits");
        return length;
      },
    };
  };

  const BLOCKS = { __proto__: null, "SHA-1": 512, "SHA-256": 512, "SHA-384": 1024, "SHA-512": 1024 };
  const hs = (hash) => `HS${slice(hash, 4)}`;
  const hmac = {
    __proto__: null,
    generate({ hash, length = BLOCKS[hash.name] }, usages) {
      allow(usages, ["sign", "verify"]);
      if (length === 0) throw fails("OperationError", "an HMAC key has one bit at least");
      return ops.cryptoRandomSecret(length);
    },
    made: (held, { hash, length = BLOCKS[hash.name] }, extractable, usages) =>
      makeKey(held, "secret", { __proto__: null, name: "HMAC", hash: hash.name, length }, extractable, usages),
    import(format, data, { hash, length }, extractable, usages) {
      allow(usages, ["sign", "verify"]);
      const bytes = secretOf(format, data, "sig", extractable, usages, "HMAC");
      if (format === "jwk") {
        hasAlg(data, hs(hash.name));
        permits(data, "sig", extractable, usages);
      }
      let count = bits(bytes);
      if (count === 0) throw fails("DataError", "an HMAC key has one bit at least");
      if (length !== undefined) {
        if (length > count || length <= count - 8) throw fails("DataError", "the key does not have this length");
        count = length;
      }
      const algorithm = { __proto__: null, name: "HMAC", hash: hash.name, length: count };
      return secretKey(bytes, algorithm, extractable, usages);
    },
    export: (format, parts) => exportSecret(format, parts, hs(parts.algorithm.hash)),
    length({ hash, length }) {
      if (length === undefined) return BLOCKS[hash.name];
      if (length === 0) throw new TypeError("an HMAC key has one bit at least");
      return length;
    },
  };

  const DERIVES = ["deriveKey", "deriveBits"];
  const derives = {
    __proto__: null,
    import(format, data, { name }, extractable, usages) {
      if (format !== "raw") throw notAForm(format, name);
      allow(usages, DERIVES);
      if (extractable) throw fails("SyntaxError", `a key of ${name} cannot be extractable`);
      return secretKey(data, { __proto__: null, name }, false, usages);
    },
    length: () => null,
  };

  // --- keys in pairs ---

  const joined = (a, b) => {
    const all = [];
    for (let i = 0; i < a.length; i++) append(all, a[i]);
    for (let i = 0; i < b.length; i++) append(all, b[i]);
    return all;
  };

  /** What a key of the host's, as `[object, number]` twice, is to the guest. */
  const pair = (made, algorithm, extractable, usages, forPublic, forPrivate) => ({
    publicKey: makeKey([made[2], made[3]], "public", algorithm, true, among(usages, forPublic)),
    privateKey: makeKey([made[0], made[1]], "private", algorithm, extractable, among(usages, forPrivate)),
  });

  const typeOf = (format, parts) => {
    if ((format === "spki" || format === "raw") && parts.type !== "public") {
      throw fails("InvalidAccessError", `only a public key has the format ${format}`);
    }
    if (format === "pkcs8" && parts.type !== "private") {
      throw fails("InvalidAccessError", "only a private key has the format pkcs8");
    }
  };
  const exportBytes = (format, parts) =>
    given(ops.cryptoExport(format === "raw" ? RAW : format === "spki" ? SPKI : PKCS8, parts.id));

  const RSA_PRIVATE = ["d", "p", "q", "dp", "dq", "qi"];
  // `alg` by hash.
  const algs = (prefix, ofSha1) => (hash) => (hash === "SHA-1" ? ofSha1 : `${prefix}${slice(hash, 4)}`);
  const rsa = (forPublic, forPrivate, use, alg) => {
    const both = joined(forPublic, forPrivate);
    return {
      __proto__: null,
      generate(normalized, usages) {
        allow(usages, both);
        const { modulusLength, publicExponent } = normalized;
        // By the time that the key is there, the guest may have changed it.
        normalized.publicExponent = ops.cryptoCopy(publicExponent);
        return ops.cryptoGenerate(RSA, modulusLength, normalized.publicExponent);
      },
      made(held, { name, modulusLength, publicExponent, hash }, extractable, usages) {
        const algorithm = { __proto__: null, name, modulusLength, publicExponent, hash: hash.name };
        return pair(held, algorithm, extractable, usages, forPublic, forPrivate);
      },
      import(format, data, { name, hash }, extractable, usages) {
        let held;
        let isPrivate = format === "pkcs8";
        if (format === "jwk") {
          isPrivate = data.d !== undefined;
          allow(usages, isPrivate ? forPrivate : forPublic);
          isOf(data, "RSA");
          permits(data, use, extractable, usages);
          hasAlg(data, alg(hash.name));
          held = ops.cryptoFromNumbers(RSA, 0, rsaNumbers(data, isPrivate));
        } else if (format === "spki" || format === "pkcs8") {
          allow(usages, isPrivate ? forPrivate : forPublic);
          held = ops.cryptoImport(isPrivate ? PKCS8 : SPKI, RSA, 0, data);
        } else {
          throw notAForm(format, name);
        }
        const end = (held) => {
          const { 1: id } = given(held);
          const { 0: modulusLength, 1: publicExponent } = ops.cryptoRsa(id);
          const algorithm = { __proto__: null, name, modulusLength, publicExponent, hash: hash.name };
          return makeKey(held, isPrivate ? "private" : "public", algorithm, extractable, usages);
        };
        return isLater(held) ? { __proto__: null, promise: held.promise, end } : end(held);
      },
      export(format, parts) {
        if (format === "raw") throw notAForm(format, parts.algorithm.name);
        typeOf(format, parts);
        if (format !== "jwk") return exportBytes(format, parts);
        const jwk = newJwk("RSA", alg(parts.algorithm.hash), parts);
        const numbers = given(ops.cryptoNumbers(parts.id));
        jwk.n = numbers[0];
        jwk.e = numbers[1];
        for (let i = 2; i < numbers.length; i++) jwk[RSA_PRIVATE[i - 2]] = numbers[i];
        return jwk;
      },
    };
  };
  const rsaNumbers = (jwk, isPrivate) => {
    if (jwk.n === undefined || jwk.e === undefined) throw wrong("it has no n, or no e");
    if (!isPrivate) return [jwk.n, jwk.e];
    if (jwk.oth !== undefined) throw fails("NotSupportedError", "there are no RSA keys of more than two factors");
    for (let i = 0; i < RSA_PRIVATE.length; i++) {
      if (jwk[RSA_PRIVATE[i]] === undefined) throw wrong(`it has no ${RSA_PRIVATE[i]}`);
    }
    return [jwk.n, jwk.e, jwk.d, jwk.p, jwk.q, jwk.dp, jwk.dq, jwk.qi];
  };

  const ec = (forPublic, forPrivate, use, alg) => ({
    __proto__: null,
    generate({ namedCurve }, usages) {
      allow(usages, joined(forPublic, forPrivate));
      const curve = CURVES[namedCurve];
      if (curve === undefined) throw fails("NotSupportedError", `there is no curve ${namedCurve}`);
      return ops.cryptoGenerate(EC, curve);
    },
    made: (held, { name, namedCurve }, extractable, usages) =>
      pair(held, { __proto__: null, name, namedCurve }, extractable, usages, forPublic, forPrivate),
    import(format, data, { name, namedCurve }, extractable, usages) {
      const curve = CURVES[namedCurve];
      const isPrivate = format === "jwk" ? data.d !== undefined : format === "pkcs8";
      if (format === "raw" && curve === undefined) throw fails("DataError", `there is no curve ${namedCurve}`);
      allow(usages, isPrivate ? forPrivate : forPublic);
      let held;
      if (format === "jwk") {
        isOf(data, "EC");
        permits(data, use, extractable, usages);
        if (data.crv !== namedCurve || curve === undefined) throw wrong(`its crv is not "${namedCurve}"`);
        if (alg !== undefined) hasAlg(data, alg(namedCurve));
        if (data.x === undefined || data.y === undefined) throw wrong("it has no x, or no y");
        const numbers = isPrivate ? [data.x, data.y, data.d] : [data.x, data.y];
        held = given(ops.cryptoFromNumbers(EC, curve, numbers));
      } else {
        if (curve === undefined) throw fails("DataError", `there is no curve ${namedCurve}`);
        held = given(ops.cryptoImport(format === "raw" ? RAW : isPrivate ? PKCS8 : SPKI, EC, curve, data));
      }
      const type = isPrivate ? "private" : "public";
      return makeKey(held, type, { __proto__: null, name, namedCurve }, extractable, usages);
    },
    export(format, parts) {
      typeOf(format, parts);
      if (format !== "jwk") return exportBytes(format, parts);
      const jwk = newJwk("EC", undefined, parts);
      const numbers = given(ops.cryptoNumbers(parts.id));
      jwk.crv = parts.algorithm.namedCurve;
      jwk.x = numbers[0];
      jwk.y = numbers[1];
      if (numbers.length > 2) jwk.d = numbers[2];
      return jwk;
    },
  });
  const ES = { __proto__: null, "P-256": "ES256", "P-384": "ES384", "P-521": "ES512" };

  const okp = (kind, crv, forPublic, forPrivate, use, isAlg) => ({
    __proto__: null,
    generate(_, usages) {
      allow(usages, joined(forPublic, forPrivate));
      return ops.cryptoGenerate(kind);
    },
    made: (held, { name }, extractable, usages) =>
      pair(held, { __proto__: null, name }, extractable, usages, forPublic, forPrivate),
    import(format, data, { name }, extractable, usages) {
      const isPrivate = format === "jwk" ? data.d !== undefined : format === "pkcs8";
      allow(usages, isPrivate ? forPrivate : forPublic);
      let held;
      if (format === "jwk") {
        isOf(data, "OKP");
        if (data.crv !== crv) throw wrong(`its crv is not "${crv}"`);
        if (data.alg !== undefined && !isAlg(data.alg)) throw wrong(`its alg is not one of ${crv}`);
        permits(data, use, extractable, usages);
        if (data.x === undefined) throw wrong("it has no x");
        held = given(ops.cryptoFromNumbers(kind, 0, isPrivate ? [data.x, data.d] : [data.x]));
      } else {
        held = given(ops.cryptoImport(format === "raw" ? RAW : isPrivate ? PKCS8 : SPKI, kind, 0, data));
      }
      return makeKey(held, isPrivate ? "private" : "public", { __proto__: null, name }, extractable, usages);
    },
    export(format, parts) {
      typeOf(format, parts);
      if (format !== "jwk") return exportBytes(format, parts);
      const jwk = newJwk("OKP", undefined, parts);
      const numbers = given(ops.cryptoNumbers(parts.id));
      jwk.crv = crv;
      jwk.x = numbers[0];
      if (numbers.length > 1) jwk.d = numbers[1];
      return jwk;
    },
  });

  const CIPHER = ["encrypt", "decrypt", "wrapKey", "unwrapKey"];
  const ALGORITHMS = {
    __proto__: null,
    "AES-CTR": aes(CIPHER),
    "AES-GCM": aes(CIPHER),
    "AES-KW": aes(["wrapKey", "unwrapKey"]),
    HMAC: hmac,
    HKDF: derives,
    PBKDF2: derives,
    "RSASSA-PKCS1-v1_5": rsa(["verify"], ["sign"], "sig", algs("RS", "RS1")),
    "RSA-PSS": rsa(["verify"], ["sign"], "sig", algs("PS", "PS1")),
    "RSA-OAEP": rsa(["encrypt", "wrapKey"], ["decrypt", "unwrapKey"], "enc", algs("RSA-OAEP-", "RSA-OAEP")),
    ECDSA: ec(["verify"], ["sign"], "sig", (curve) => ES[curve]),
    ECDH: ec([], DERIVES, "enc", undefined),
    Ed25519: okp(ED25519, "Ed25519", ["verify"], ["sign"], "sig", (alg) => alg === "Ed25519" || alg === "EdDSA"),
    X25519: okp(X25519, "X25519", [], DERIVES, "enc", () => true),
  };

  nexus.cryptoKeys = { __proto__: null, ALGORITHMS, USAGES, contains, among, partsOf, toJwk, parsedJwk, sequence, forGuest, given, isLater, promiseOf };
})
