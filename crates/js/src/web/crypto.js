// Web Crypto: `crypto`, and the methods of `crypto.subtle`. https://w3c.github.io/webcrypto/
//
// A method converts its arguments, then normalizes its algorithm, which may run code of the guest, and then takes what is
// data as it is by then, all at once; what fails is a rejection. What the host does for it takes no turn of the guest's
// where it may take long: it gives a promise then, and has copied the data before.
//
// Built-ins that the guest has changed get to see the method's arguments and its result, and nothing of what is made on the
// way to that: no key that is derived, unwrapped or wrapped, and no list of what a key may be used for.
(function (nexus) {
  "use strict";
  const { ops } = nexus;
  const { normalize, algorithmOf, source, fails, isExported, HASHES } = nexus.cryptoAlgorithms;
  const { ALGORITHMS, USAGES, contains, partsOf, toJwk, parsedJwk, sequence, forGuest, given, isLater, promiseOf } = nexus.cryptoKeys;
  const { required, bufferSource, domString, integer, isArrayBuffer, isObject, finishInterface, illegalConstructor } = nexus.webidl;
  const { isView, stringify, parse, typedLength, viewTag, Bytes, setPrototypeOf } =
    nexus.builtins;
  const { typedBuffer } = nexus.builtins.clonable;
  const { slice } = nexus.builtins.string;

  // How the host is asked.
  const HMAC = 0, PKCS1 = 1, PSS = 2, ECDSA = 3, ED25519 = 4;
  const GCM = 0, CTR = 1, OAEP = 2, KW = 3;
  const HKDF = 0, PBKDF2 = 1, ECDH = 2, X25519 = 3;

  // Of the encodings, as the host has them.
  const UTF_8 = 0;
  const MAX_RANDOM = 65536;
  // No key in DER has more bytes.
  const MAX_DER = 65536;

  // --- arguments ---

  const keyOf = (value, what) => {
    if (!nexus.isCryptoKey(value)) throw new TypeError(`${what}: not a CryptoKey`);
    return value;
  };
  const FORMATS = ["raw", "spki", "pkcs8", "jwk"];
  const formatOf = (value, what) => {
    const format = domString(value);
    if (!contains(FORMATS, format)) throw new TypeError(`${what}: "${format}" is no format of keys`);
    return format;
  };
  // What is for algorithms that are not here: https://wicg.github.io/webcrypto-modern-algos/
  const OTHER_USAGES = ["encapsulateKey", "encapsulateBits", "decapsulateKey", "decapsulateBits"];
  const usagesOf = (value, what) =>
    sequence(value, what, (item) => {
      const usage = domString(item);
      if (!contains(USAGES, usage) && !contains(OTHER_USAGES, usage)) throw new TypeError(`${what}: "${usage}" is no usage of keys`);
      return usage;
    });

  // --- checks ---

  /** A key's parts, if it is one for this algorithm and this usage. */
  const forUse = (key, name, usage) => {
    const parts = partsOf(key);
    if (parts.algorithm.name !== name) {
      throw fails("InvalidAccessError", `a key of ${parts.algorithm.name} is none of ${name}`);
    }
    if (!contains(parts.usages, usage)) throw fails("InvalidAccessError", `the key is not for ${usage}`);
    return parts;
  };
  const isOfType = (parts, type) => {
    if (parts.type !== type) throw fails("InvalidAccessError", `the key is not a ${type} one`);
  };
  /** A key that was made: one that can be used for nothing is none. */
  const usable = (key) => {
    const parts = partsOf(key);
    if (parts.type !== "public" && parts.usages.length === 0) {
      throw fails("SyntaxError", "a secret or private key is for something: usages is empty");
    }
    return key;
  };

  // --- what the host answers ---

  // So each method that asks it has: `if (isLater(answer)) answer = (await promiseOf(answer)).value`. In a function of its
  // own that would be a promise again.

  const buffer = (value) => typedBuffer(given(value));

  // --- operations, on parts of keys: what the host answers ---

  const signing = (normalized, parts) => {
    const { algorithm } = parts;
    switch (normalized.name) {
      case "HMAC":
        return [HMAC, HASHES[algorithm.hash], 0];
      case "RSASSA-PKCS1-v1_5":
        return [PKCS1, HASHES[algorithm.hash], 0];
      case "RSA-PSS":
        return [PSS, HASHES[algorithm.hash], normalized.saltLength];
      case "ECDSA":
        return [ECDSA, HASHES[normalized.hash.name], 0];
      default:
        return [ED25519, 0, 0];
    }
  };
  const sign = (normalized, parts, data) => {
    if (normalized.name !== "HMAC") isOfType(parts, "private");
    const { 0: how, 1: hash, 2: salt } = signing(normalized, parts);
    return ops.cryptoSign(how, hash, salt, parts.id, data);
  };
  const verify = (normalized, parts, signature, data) => {
    if (normalized.name !== "HMAC") isOfType(parts, "public");
    const { 0: how, 1: hash, 2: salt } = signing(normalized, parts);
    return ops.cryptoVerify(how, hash, salt, parts.id, signature, data);
  };

  const TAGS = [32, 64, 96, 104, 112, 120, 128];
  const isTag = (length) => {
    for (let i = 0; i < TAGS.length; i++) if (TAGS[i] === length) return true;
    return false;
  };
  const NO_BYTES = new Bytes(0);

  /** What both directions of a cipher have in common. */
  const crypt = (normalized, parts, encrypts, data) => {
    switch (normalized.name) {
      case "AES-GCM": {
        const { iv, additionalData = NO_BYTES, tagLength = 128 } = normalized;
        if (!isTag(tagLength)) throw fails("OperationError", "a tag of AES-GCM has 32, 64, 96, 104, 112, 120 or 128 bits");
        return ops.cryptoCrypt(GCM, encrypts, parts.id, data, iv, additionalData, tagLength / 8);
      }
      case "AES-CTR": {
        const { counter, length } = normalized;
        if (length === 0 || length > 128) throw fails("OperationError", "1 to 128 bits of AES-CTR's counter count");
        return ops.cryptoCrypt(CTR, encrypts, parts.id, data, counter, NO_BYTES, length);
      }
      case "RSA-OAEP": {
        isOfType(parts, encrypts ? "public" : "private");
        const { label = NO_BYTES } = normalized;
        return ops.cryptoCrypt(OAEP, encrypts, parts.id, data, label, NO_BYTES, HASHES[parts.algorithm.hash]);
      }
      default:
        return ops.cryptoCrypt(KW, encrypts, parts.id, data, NO_BYTES, NO_BYTES, 0);
    }
  };

  /** The first `length` bits of what two keys agree upon, or all of it. */
  const agree = (normalized, parts, length) => {
    isOfType(parts, "private");
    const others = partsOf(normalized.public);
    isOfType(others, "public");
    const { name, namedCurve } = parts.algorithm;
    if (others.algorithm.name !== name || others.algorithm.namedCurve !== namedCurve) {
      throw fails("InvalidAccessError", "the public key is not one for the private one");
    }
    return ops.cryptoDerive(name === "ECDH" ? ECDH : X25519, parts.id, 0, NO_BYTES, NO_BYTES, others.id, length);
  };
  /** Bytes. */
  const derive = (normalized, parts, length) => {
    const { name } = normalized;
    if (name === "ECDH" || name === "X25519") return agree(normalized, parts, length);
    if (length === null || length % 8 !== 0) throw fails("OperationError", `${name} gives bytes: the length is a multiple of 8`);
    const hash = HASHES[normalized.hash.name];
    const { salt } = normalized;
    if (name === "HKDF") return ops.cryptoDerive(HKDF, parts.id, hash, salt, normalized.info, 0, length);
    return ops.cryptoDerive(PBKDF2, parts.id, hash, salt, NO_BYTES, normalized.iterations, length);
  };

  /** The key; or, later, what `end` makes of the answer. */
  const importKey = (format, data, normalized, extractable, usages) =>
    ALGORITHMS[normalized.name].import(format, data, normalized, extractable, usages);

  /** A key's data for this format, if it is to be had: a Uint8Array, or a JSON Web Key without a prototype. */
  const exportKey = (format, parts) => {
    const { name } = parts.algorithm;
    if (!isExported(name)) throw fails("NotSupportedError", `keys of ${name} cannot be exported`);
    if (!parts.extractable) throw fails("InvalidAccessError", "the key is not extractable");
    return ALGORITHMS[name].export(format, parts);
  };

  /** Normalizes for one operation, or else for another one. */
  const normalizeEither = (first, second, algorithm, copies) => {
    try {
      return normalize(first, algorithm, copies);
    } catch {
      return normalize(second, algorithm, copies);
    }
  };

  // "Parse a JWK".
  const parseJwk = (bytes) => {
    let jwk;
    try {
      jwk = parse(ops.decodeWhole(UTF_8, bytes, true, false));
    } catch {
      throw fails("DataError", "what was unwrapped is no JSON");
    }
    if (!isObject(jwk)) throw fails("DataError", "what was unwrapped is no JSON Web Key");
    return parsedJwk(jwk);
  };

  /** A key's data to be wrapped; what asks for `toJSON` finds none of the guest's. */
  const toWrap = (format, exported) => {
    if (format !== "jwk") return exported;
    setPrototypeOf(exported.key_ops, null);
    return ops.encodeUtf8(stringify(exported));
  };

  // --- the interfaces ---

  const TOKEN = { __proto__: null };

  class SubtleCrypto {
    #brand;

    constructor() {
      if (arguments[0] !== TOKEN) throw illegalConstructor();
    }

    /** A hash of data. */
    async digest(algorithm, data) {
      this.#brand;
      required(arguments.length, 2, "digest");
      const how = algorithmOf(algorithm);
      source(data, "digest: data");
      const { name } = normalize("digest", how);
      let answer = ops.cryptoDigest(HASHES[name], data);
      if (isLater(answer)) answer = (await promiseOf(answer)).value;
      return buffer(answer);
    }

    /** A signature of data. */
    async sign(algorithm, key, data) {
      this.#brand;
      required(arguments.length, 3, "sign");
      const how = algorithmOf(algorithm);
      keyOf(key, "sign: key");
      source(data, "sign: data");
      const normalized = normalize("sign", how);
      let answer = sign(normalized, forUse(key, normalized.name, "sign"), data);
      if (isLater(answer)) answer = (await promiseOf(answer)).value;
      return buffer(answer);
    }

    /** Whether that is a signature of data. */
    async verify(algorithm, key, signature, data) {
      this.#brand;
      required(arguments.length, 4, "verify");
      const how = algorithmOf(algorithm);
      keyOf(key, "verify: key");
      source(signature, "verify: signature");
      source(data, "verify: data");
      const normalized = normalize("sign", how);
      let answer = verify(normalized, forUse(key, normalized.name, "verify"), signature, data);
      if (isLater(answer)) answer = (await promiseOf(answer)).value;
      return given(answer);
    }

    /** Encrypts data. */
    async encrypt(algorithm, key, data) {
      this.#brand;
      required(arguments.length, 3, "encrypt");
      const how = algorithmOf(algorithm);
      keyOf(key, "encrypt: key");
      source(data, "encrypt: data");
      const normalized = normalize("encrypt", how);
      let answer = crypt(normalized, forUse(key, normalized.name, "encrypt"), true, data);
      if (isLater(answer)) answer = (await promiseOf(answer)).value;
      return buffer(answer);
    }

    /** Decrypts data. */
    async decrypt(algorithm, key, data) {
      this.#brand;
      required(arguments.length, 3, "decrypt");
      const how = algorithmOf(algorithm);
      keyOf(key, "decrypt: key");
      source(data, "decrypt: data");
      const normalized = normalize("encrypt", how);
      let answer = crypt(normalized, forUse(key, normalized.name, "decrypt"), false, data);
      if (isLater(answer)) answer = (await promiseOf(answer)).value;
      return buffer(answer);
    }

    /** Bits from a key. */
    async deriveBits(algorithm, baseKey, length = null) {
      this.#brand;
      required(arguments.length, 2, "deriveBits");
      const how = algorithmOf(algorithm);
      keyOf(baseKey, "deriveBits: baseKey");
      const count = length === null || length === undefined ? null : integer(length, 32, false, "deriveBits: length", true);
      const normalized = normalize("deriveBits", how);
      let answer = derive(normalized, forUse(baseKey, normalized.name, "deriveBits"), count);
      if (isLater(answer)) answer = (await promiseOf(answer)).value;
      return buffer(answer);
    }

    /** A key from another one. */
    async deriveKey(algorithm, baseKey, derivedKeyType, extractable, keyUsages) {
      this.#brand;
      required(arguments.length, 5, "deriveKey");
      const how = algorithmOf(algorithm);
      keyOf(baseKey, "deriveKey: baseKey");
      const type = algorithmOf(derivedKeyType);
      const usages = usagesOf(keyUsages, "deriveKey: keyUsages");
      const normalized = normalize("deriveBits", how, true);
      const wanted = normalize("importKey", type);
      const measured = normalize("get key length", type);
      const parts = forUse(baseKey, normalized.name, "deriveKey");
      const length = ALGORITHMS[measured.name].length(measured);
      let answer = derive(normalized, parts, length);
      if (isLater(answer)) answer = (await promiseOf(answer)).value;
      const secret = given(answer);
      try {
        // No secret takes long.
        return usable(importKey("raw", secret, wanted, !!extractable, usages));
      } finally {
        ops.cryptoErase(secret);
      }
    }

    /** A new key, or a pair. */
    async generateKey(algorithm, extractable, keyUsages) {
      this.#brand;
      required(arguments.length, 3, "generateKey");
      const of = algorithmOf(algorithm);
      const usages = usagesOf(keyUsages, "generateKey: keyUsages");
      const normalized = normalize("generateKey", of);
      const kind = ALGORITHMS[normalized.name];
      let answer = kind.generate(normalized, usages);
      if (isLater(answer)) answer = (await promiseOf(answer)).value;
      const made = kind.made(given(answer), normalized, !!extractable, usages);
      usable(nexus.isCryptoKey(made) ? made : made.privateKey);
      return made;
    }

    /** A key from data. */
    async importKey(format, keyData, algorithm, extractable, keyUsages) {
      this.#brand;
      required(arguments.length, 5, "importKey");
      const form = formatOf(format, "importKey: format");
      const isBytes = isView(keyData) || isArrayBuffer(keyData);
      const isNone = keyData === undefined || keyData === null;
      if (!isBytes && !isObject(keyData) && !isNone) throw new TypeError("importKey: keyData is neither bytes nor a JSON Web Key");
      const jwk = isBytes ? undefined : toJwk(keyData);
      const how = algorithmOf(algorithm);
      const usages = usagesOf(keyUsages, "importKey: keyUsages");
      const normalized = normalize("importKey", how);
      if (isBytes === (form === "jwk")) {
        throw new TypeError(`importKey: a key in the format ${form} is ${isBytes ? "an object" : "bytes"}`);
      }
      const data = isBytes ? ops.cryptoCopy(keyData, form === "raw" ? undefined : MAX_DER) : jwk;
      let key = importKey(form, data, normalized, !!extractable, usages);
      if (isLater(key)) key = key.end((await promiseOf(key)).value);
      return usable(key);
    }

    /** A key's data. */
    async exportKey(format, key) {
      this.#brand;
      required(arguments.length, 2, "exportKey");
      const form = formatOf(format, "exportKey: format");
      const exported = exportKey(form, partsOf(keyOf(key, "exportKey: key")));
      return form === "jwk" ? forGuest(exported) : typedBuffer(exported);
    }

    /** A key's data, encrypted. */
    async wrapKey(format, key, wrappingKey, wrapAlgorithm) {
      this.#brand;
      required(arguments.length, 4, "wrapKey");
      const form = formatOf(format, "wrapKey: format");
      keyOf(key, "wrapKey: key");
      keyOf(wrappingKey, "wrapKey: wrappingKey");
      const normalized = normalizeEither("wrapKey", "encrypt", algorithmOf(wrapAlgorithm));
      const wrapping = forUse(wrappingKey, normalized.name, "wrapKey");
      const bytes = toWrap(form, exportKey(form, partsOf(key)));
      let answer;
      try {
        answer = crypt(normalized, wrapping, true, bytes);
      } finally {
        ops.cryptoErase(bytes);
      }
      if (isLater(answer)) answer = (await promiseOf(answer)).value;
      return buffer(answer);
    }

    /** A key from data that was encrypted. */
    async unwrapKey(format, wrappedKey, unwrappingKey, unwrapAlgorithm, unwrappedKeyAlgorithm, extractable, keyUsages) {
      this.#brand;
      required(arguments.length, 7, "unwrapKey");
      const form = formatOf(format, "unwrapKey: format");
      source(wrappedKey, "unwrapKey: wrappedKey");
      keyOf(unwrappingKey, "unwrapKey: unwrappingKey");
      const how = algorithmOf(unwrapAlgorithm);
      const of = algorithmOf(unwrappedKeyAlgorithm);
      const usages = usagesOf(keyUsages, "unwrapKey: keyUsages");
      const normalized = normalizeEither("wrapKey", "encrypt", how, true);
      const wanted = normalize("importKey", of);
      const parts = forUse(unwrappingKey, normalized.name, "unwrapKey");
      let answer = crypt(normalized, parts, false, wrappedKey);
      if (isLater(answer)) answer = (await promiseOf(answer)).value;
      const bytes = given(answer);
      let key;
      try {
        key = importKey(form, form === "jwk" ? parseJwk(bytes) : bytes, wanted, !!extractable, usages);
      } finally {
        ops.cryptoErase(bytes);
      }
      if (isLater(key)) key = key.end((await promiseOf(key)).value);
      return usable(key);
    }

    /** Whether two byte strings are the same, in a time that tells nothing of where they differ. */
    timingSafeEqual(a, b) {
      this.#brand;
      required(arguments.length, 2, "timingSafeEqual");
      const left = bufferSource(a, "timingSafeEqual: a");
      const right = bufferSource(b, "timingSafeEqual: b");
      if (typedLength(left) !== typedLength(right)) throw new TypeError("timingSafeEqual: they are not equally long");
      return ops.cryptoEqual(left, right);
    }
  }
  finishInterface(SubtleCrypto);

  class Crypto {
    #subtle;

    constructor() {
      if (arguments[0] !== TOKEN) throw illegalConstructor();
      this.#subtle = new SubtleCrypto(TOKEN);
    }

    /** All that takes keys. */
    get subtle() {
      return this.#subtle;
    }

    /** Fills an array of integers with random ones. */
    getRandomValues(array) {
      this.#subtle;
      required(arguments.length, 1, "getRandomValues");
      if (!isView(array)) throw new TypeError("getRandomValues: not an array of integers");
      const kind = viewTag(array);
      if (kind === undefined || slice(kind, 0, 5) === "Float") {
        throw fails("TypeMismatchError", "getRandomValues: not an array of integers");
      }
      const bytes = bufferSource(array, "getRandomValues");
      if (typedLength(bytes) > MAX_RANDOM) {
        // It comes with this one.
        nexus.DOMException;
        throw new nexus.QuotaExceededError(`getRandomValues: more than ${MAX_RANDOM} bytes`);
      }
      ops.cryptoRandom(bytes);
      return array;
    }

    /** A random UUID, of version 4. RFC 9562. */
    randomUUID() {
      this.#subtle;
      return ops.cryptoUuid();
    }
  }
  finishInterface(Crypto);

  nexus.crypto = new Crypto(TOKEN);
})
