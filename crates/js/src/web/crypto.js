// Web Crypto: `crypto`, and the methods of `crypto.subtle`. https://w3c.github.io/webcrypto/
//
// A method converts its arguments, then normalizes its algorithm, which may run code of the guest, and then takes what is
// data as it is by then, all at once; what fails is a rejection. What the host does for it takes no turn of the guest's
// where it may take long: it gives a promise then, and has copied the data before.
(function (nexus) {
  "use strict";
  const { ops } = nexus;
  const { normalize, fails, isExported, HASHES } = nexus.cryptoAlgorithms;
  const { ALGORITHMS, USAGES, contains, partsOf, toJwk, given, bytesFor } = nexus.cryptoKeys;
  const { required, bufferSource, domString, integer, isArrayBuffer, isObject, sequence, finishInterface, illegalConstructor } =
    nexus.webidl;
  const { isView, stringify, typedLength, viewTag, Bytes } = nexus.builtins;
  const { typedBuffer } = nexus.builtins.clonable;
  const { parse } = JSON;
  const { slice } = nexus.builtins.string;

  // How the host is asked.
  const HMAC = 0, PKCS1 = 1, PSS = 2, ECDSA = 3, ED25519 = 4;
  const GCM = 0, CTR = 1, OAEP = 2, KW = 3;
  const HKDF = 0, PBKDF2 = 1, ECDH = 2, X25519 = 3;

  // Of the encodings, as the host has them.
  const UTF_8 = 0;
  const MAX_RANDOM = 65536;

  // --- arguments ---

  const sourceOf = (value, what) => {
    if (!isView(value) && !isArrayBuffer(value)) throw new TypeError(`${what}: not an ArrayBuffer or a view of one`);
    return value;
  };
  // The host takes any source, and as none where its buffer was given away meanwhile.
  const keyOf = (value, what) => {
    if (!nexus.isCryptoKey(value)) throw new TypeError(`${what}: not a CryptoKey`);
    return value;
  };
  // (object or DOMString): what it says is read when it is normalized.
  const algorithmOf = (value) => (isObject(value) ? value : domString(value));
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

  // --- operations, on parts of keys ---

  const buffer = (value) => typedBuffer(given(value));

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
  const sign = async (normalized, parts, data) => {
    if (normalized.name !== "HMAC") isOfType(parts, "private");
    const { 0: how, 1: hash, 2: salt } = signing(normalized, parts);
    return buffer(await ops.cryptoSign(how, hash, salt, parts.id, data));
  };
  const verify = async (normalized, parts, signature, data) => {
    if (normalized.name !== "HMAC") isOfType(parts, "public");
    const { 0: how, 1: hash, 2: salt } = signing(normalized, parts);
    return given(await ops.cryptoVerify(how, hash, salt, parts.id, signature, data));
  };

  const TAGS = [32, 64, 96, 104, 112, 120, 128];
  const isTag = (length) => {
    for (let i = 0; i < TAGS.length; i++) if (TAGS[i] === length) return true;
    return false;
  };
  const NO_BYTES = new Bytes(0);

  /** What both directions of a cipher have in common. */
  const crypt = async (normalized, parts, encrypts, data) => {
    switch (normalized.name) {
      case "AES-GCM": {
        const { iv, additionalData = NO_BYTES, tagLength = 128 } = normalized;
        if (!isTag(tagLength)) throw fails("OperationError", "a tag of AES-GCM has 32, 64, 96, 104, 112, 120 or 128 bits");
        return buffer(await ops.cryptoCrypt(GCM, encrypts, parts.id, data, iv, additionalData, tagLength / 8));
      }
      case "AES-CTR": {
        const { counter, length } = normalized;
        if (typedLength(counter) !== 16) throw fails("OperationError", "a counter of AES-CTR has 16 bytes");
        if (length === 0 || length > 128) throw fails("OperationError", "1 to 128 bits of AES-CTR's counter count");
        return buffer(await ops.cryptoCrypt(CTR, encrypts, parts.id, data, counter, NO_BYTES, length));
      }
      case "RSA-OAEP": {
        isOfType(parts, encrypts ? "public" : "private");
        const { label = NO_BYTES } = normalized;
        const hash = HASHES[parts.algorithm.hash];
        return buffer(await ops.cryptoCrypt(OAEP, encrypts, parts.id, data, label, NO_BYTES, hash));
      }
      default:
        return buffer(await ops.cryptoCrypt(KW, encrypts, parts.id, data, NO_BYTES, NO_BYTES, 0));
    }
  };

  /** The first `length` bits of what two keys agree upon. */
  const firstBits = (agreed, length) => {
    if (length === null) return agreed;
    const count = bytesFor(length);
    if (count > typedLength(agreed)) throw fails("OperationError", "these keys do not agree upon so many bits");
    const first = new Bytes(count);
    for (let i = 0; i < count; i++) first[i] = agreed[i];
    if (length % 8 !== 0) first[count - 1] &= 0xff << (8 - (length % 8));
    return first;
  };
  const agree = async (normalized, parts, length) => {
    isOfType(parts, "private");
    const others = partsOf(normalized.public);
    isOfType(others, "public");
    const { name, namedCurve } = parts.algorithm;
    if (others.algorithm.name !== name || others.algorithm.namedCurve !== namedCurve) {
      throw fails("InvalidAccessError", "the public key is not one for the private one");
    }
    const agreed = given(await ops.cryptoDerive(name === "ECDH" ? ECDH : X25519, parts.id, 0, NO_BYTES, NO_BYTES, others.id, 0));
    return firstBits(agreed, length);
  };
  /** As a Uint8Array. */
  const derive = async (normalized, parts, length) => {
    const { name } = normalized;
    if (name === "ECDH" || name === "X25519") return agree(normalized, parts, length);
    if (length === null || length % 8 !== 0) throw fails("OperationError", `${name} gives bytes: the length is a multiple of 8`);
    const hash = HASHES[normalized.hash.name];
    const { salt } = normalized;
    const size = length / 8;
    if (name === "HKDF") return given(await ops.cryptoDerive(HKDF, parts.id, hash, salt, normalized.info, 0, size));
    return given(await ops.cryptoDerive(PBKDF2, parts.id, hash, salt, NO_BYTES, normalized.iterations, size));
  };

  const importKey = (format, data, normalized, extractable, usages) =>
    usable(ALGORITHMS[normalized.name].import(format, data, normalized, extractable, usages));

  /** A key's data for this format, if it is to be had: an ArrayBuffer, or a JSON Web Key. */
  const exportKey = (format, parts) => {
    const { name } = parts.algorithm;
    if (!isExported(name)) throw fails("NotSupportedError", `keys of ${name} cannot be exported`);
    if (!parts.extractable) throw fails("InvalidAccessError", "the key is not extractable");
    return ALGORITHMS[name].export(format, parts);
  };

  /** Normalizes for one operation, or else for another one. */
  const normalizeEither = (first, second, algorithm) => {
    try {
      return normalize(first, algorithm);
    } catch {
      return normalize(second, algorithm);
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
    return toJwk(jwk);
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
      const given = algorithmOf(algorithm);
      sourceOf(data, "digest: data");
      const { name } = normalize("digest", given);
      return buffer(await ops.cryptoDigest(HASHES[name], data));
    }

    /** A signature of data. */
    async sign(algorithm, key, data) {
      this.#brand;
      required(arguments.length, 3, "sign");
      const given = algorithmOf(algorithm);
      keyOf(key, "sign: key");
      sourceOf(data, "sign: data");
      const normalized = normalize("sign", given);
      return sign(normalized, forUse(key, normalized.name, "sign"), data);
    }

    /** Whether that is a signature of data. */
    async verify(algorithm, key, signature, data) {
      this.#brand;
      required(arguments.length, 4, "verify");
      const given = algorithmOf(algorithm);
      keyOf(key, "verify: key");
      sourceOf(signature, "verify: signature");
      sourceOf(data, "verify: data");
      const normalized = normalize("sign", given);
      return verify(normalized, forUse(key, normalized.name, "verify"), signature, data);
    }

    /** Encrypts data. */
    async encrypt(algorithm, key, data) {
      this.#brand;
      required(arguments.length, 3, "encrypt");
      const given = algorithmOf(algorithm);
      keyOf(key, "encrypt: key");
      sourceOf(data, "encrypt: data");
      const normalized = normalize("encrypt", given);
      return crypt(normalized, forUse(key, normalized.name, "encrypt"), true, data);
    }

    /** Decrypts data. */
    async decrypt(algorithm, key, data) {
      this.#brand;
      required(arguments.length, 3, "decrypt");
      const given = algorithmOf(algorithm);
      keyOf(key, "decrypt: key");
      sourceOf(data, "decrypt: data");
      const normalized = normalize("encrypt", given);
      return crypt(normalized, forUse(key, normalized.name, "decrypt"), false, data);
    }

    /** Bits from a key. */
    async deriveBits(algorithm, baseKey, length = null) {
      this.#brand;
      required(arguments.length, 2, "deriveBits");
      const given = algorithmOf(algorithm);
      keyOf(baseKey, "deriveBits: baseKey");
      const count = length === null || length === undefined ? null : integer(length, 32, false, "deriveBits: length", true);
      const normalized = normalize("deriveBits", given);
      return typedBuffer(await derive(normalized, forUse(baseKey, normalized.name, "deriveBits"), count));
    }

    /** A key from another one. */
    async deriveKey(algorithm, baseKey, derivedKeyType, extractable, keyUsages) {
      this.#brand;
      required(arguments.length, 5, "deriveKey");
      const given = algorithmOf(algorithm);
      keyOf(baseKey, "deriveKey: baseKey");
      const type = algorithmOf(derivedKeyType);
      const usages = usagesOf(keyUsages, "deriveKey: keyUsages");
      const normalized = normalize("deriveBits", given);
      const wanted = normalize("importKey", type);
      const measured = normalize("get key length", type);
      const parts = forUse(baseKey, normalized.name, "deriveKey");
      const length = ALGORITHMS[measured.name].length(measured);
      const secret = await derive(normalized, parts, length);
      return importKey("raw", secret, wanted, !!extractable, usages);
    }

    /** A new key, or a pair. */
    async generateKey(algorithm, extractable, keyUsages) {
      this.#brand;
      required(arguments.length, 3, "generateKey");
      const given = algorithmOf(algorithm);
      const usages = usagesOf(keyUsages, "generateKey: keyUsages");
      const normalized = normalize("generateKey", given);
      const made = await ALGORITHMS[normalized.name].generate(normalized, !!extractable, usages);
      usable(nexus.isCryptoKey(made) ? made : made.privateKey);
      return made;
    }

    /** A key from data. */
    async importKey(format, keyData, algorithm, extractable, keyUsages) {
      this.#brand;
      required(arguments.length, 5, "importKey");
      const form = formatOf(format, "importKey: format");
      const isBytes = isView(keyData) || isArrayBuffer(keyData);
      if (!isBytes && !isObject(keyData)) throw new TypeError("importKey: keyData is neither bytes nor a JSON Web Key");
      const jwk = isBytes ? undefined : toJwk(keyData);
      const given = algorithmOf(algorithm);
      const usages = usagesOf(keyUsages, "importKey: keyUsages");
      const normalized = normalize("importKey", given);
      if (isBytes === (form === "jwk")) {
        throw new TypeError(`importKey: a key in the format ${form} is ${isBytes ? "an object" : "bytes"}`);
      }
      const data = isBytes ? ops.cryptoCopy(keyData) : jwk;
      return importKey(form, data, normalized, !!extractable, usages);
    }

    /** A key's data. */
    async exportKey(format, key) {
      this.#brand;
      required(arguments.length, 2, "exportKey");
      const form = formatOf(format, "exportKey: format");
      return exportKey(form, partsOf(keyOf(key, "exportKey: key")));
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
      const exported = exportKey(form, partsOf(key));
      const bytes = form === "jwk" ? ops.encodeUtf8(stringify(exported)) : new Bytes(exported);
      return crypt(normalized, wrapping, true, bytes);
    }

    /** A key from data that was encrypted. */
    async unwrapKey(format, wrappedKey, unwrappingKey, unwrapAlgorithm, unwrappedKeyAlgorithm, extractable, keyUsages) {
      this.#brand;
      required(arguments.length, 7, "unwrapKey");
      const form = formatOf(format, "unwrapKey: format");
      sourceOf(wrappedKey, "unwrapKey: wrappedKey");
      keyOf(unwrappingKey, "unwrapKey: unwrappingKey");
      const how = algorithmOf(unwrapAlgorithm);
      const of = algorithmOf(unwrappedKeyAlgorithm);
      const usages = usagesOf(keyUsages, "unwrapKey: keyUsages");
      const normalized = normalizeEither("wrapKey", "encrypt", how);
      const wanted = normalize("importKey", of);
      const parts = forUse(unwrappingKey, normalized.name, "unwrapKey");
      const bytes = new Bytes(await crypt(normalized, parts, false, wrappedKey));
      return importKey(form, form === "jwk" ? parseJwk(bytes) : bytes, wanted, !!extractable, usages);
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
