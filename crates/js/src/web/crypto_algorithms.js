// Web Crypto: which algorithms there are for what, and "normalize an algorithm". Web Cryptography, section 18.
// https://w3c.github.io/webcrypto/#algorithm-normalization
(function (nexus) {
  "use strict";
  const { ops } = nexus;
  const { isArrayBuffer, domString, integer, isObject, SafeMap } = nexus.webidl;
  const { freeze, isView, viewTag } = nexus.builtins;
  const { toLowerCase } = nexus.builtins.string;

  const fails = (name, message) => new nexus.DOMException(message, name);

  // The numbers by which the host knows them.
  const HASHES = freeze({ __proto__: null, "SHA-1": 0, "SHA-256": 1, "SHA-384": 2, "SHA-512": 3 });
  const CURVES = freeze({ __proto__: null, "P-256": 0, "P-384": 1, "P-521": 2 });

  // --- the dictionaries' members: `[name, converter, is required, what ends it]`, in the order in which they are read ---
  //
  // All are read and converted first; then hashes are normalized and bytes are copied, as by "normalize an algorithm".

  /** A BufferSource: the host takes any, and as none where its buffer was given away meanwhile. */
  const source = (value, what) => {
    if (!isView(value) && !isArrayBuffer(value)) throw new TypeError(`${what}: not an ArrayBuffer or a view of one`);
    return value;
  };
  const copied = (value, copies) => (copies ? ops.cryptoCopy(value) : value);
  const bigInteger = (value, what) => {
    if (!isObject(value) || !isView(value) || viewTag(value) !== "Uint8Array") throw new TypeError(`${what}: not a Uint8Array`);
    return value;
  };
  const octet = (value, what) => integer(value, 8, false, what, true);
  const unsignedShort = (value, what) => integer(value, 16, false, what, true);
  const unsignedLong = (value, what) => integer(value, 32, false, what, true);
  // (object or DOMString): what it says is read when it is normalized.
  const algorithmOf = (value) => (isObject(value) ? value : domString(value));
  const digestOf = (value) => normalize("digest", value);
  const key = (value, what) => {
    if (!nexus.isCryptoKey(value)) throw new TypeError(`${what}: not a CryptoKey`);
    return value;
  };

  const NONE = [];
  // All four are properties of its own: a prototype that the guest has changed is asked for none.
  const member = (name, convert, isRequired = true, end = undefined) => [name, convert, isRequired, end];
  const hash = member("hash", algorithmOf, true, digestOf);
  const bytes = (name, isRequired) => member(name, source, isRequired, copied);
  const HASH = [hash];
  const RSA_KEYS = [member("modulusLength", unsignedLong), member("publicExponent", bigInteger), hash];
  const CURVE = [member("namedCurve", domString)];
  const HMAC_KEY = [hash, member("length", unsignedLong, false)];
  const LENGTH = [member("length", unsignedShort)];
  const PUBLIC = [member("public", key)];
  const GCM = [bytes("additionalData", false), bytes("iv"), member("tagLength", octet, false)];
  const CTR = [bytes("counter"), member("length", octet)];
  const OAEP = [bytes("label", false)];
  const PSS = [member("saltLength", unsignedLong)];
  const HKDF = [hash, bytes("info"), bytes("salt")];
  const PBKDF2 = [hash, member("iterations", unsignedLong), bytes("salt")];

  // By operation, then by name.
  const SUPPORTED = {
    __proto__: null,
    digest: { __proto__: null, "SHA-1": NONE, "SHA-256": NONE, "SHA-384": NONE, "SHA-512": NONE },
    generateKey: {
      __proto__: null,
      "RSASSA-PKCS1-v1_5": RSA_KEYS, "RSA-PSS": RSA_KEYS, "RSA-OAEP": RSA_KEYS, ECDSA: CURVE, ECDH: CURVE, Ed25519: NONE,
      X25519: NONE, "AES-CTR": LENGTH, "AES-GCM": LENGTH, "AES-KW": LENGTH, HMAC: HMAC_KEY,
    },
    importKey: {
      __proto__: null,
      "RSASSA-PKCS1-v1_5": HASH, "RSA-PSS": HASH, "RSA-OAEP": HASH, ECDSA: CURVE, ECDH: CURVE, Ed25519: NONE, X25519: NONE,
      "AES-CTR": NONE, "AES-GCM": NONE, "AES-KW": NONE, HMAC: HMAC_KEY, HKDF: NONE, PBKDF2: NONE,
    },
    sign: { __proto__: null, "RSASSA-PKCS1-v1_5": NONE, "RSA-PSS": PSS, ECDSA: HASH, Ed25519: NONE, HMAC: NONE },
    encrypt: { __proto__: null, "RSA-OAEP": OAEP, "AES-CTR": CTR, "AES-GCM": GCM },
    deriveBits: { __proto__: null, ECDH: PUBLIC, X25519: PUBLIC, HKDF, PBKDF2 },
    wrapKey: { __proto__: null, "AES-KW": NONE },
    "get key length": {
      __proto__: null,
      "AES-CTR": LENGTH, "AES-GCM": LENGTH, "AES-KW": LENGTH, HMAC: HMAC_KEY, HKDF: NONE, PBKDF2: NONE,
    },
  };

  // Names in small letters, as they are written.
  const registered = (supported) => {
    const names = new SafeMap();
    for (const name in supported) names.set(toLowerCase(name), name);
    return names;
  };
  const NAMES = { __proto__: null };
  for (const operation in SUPPORTED) NAMES[operation] = registered(SUPPORTED[operation]);

  /**
   * "Normalize an algorithm": a dictionary that only we hold. Its bytes are the guest's own, unless they are to be copied:
   * where code of the guest may run before they are used.
   */
  const normalize = (operation, algorithm, copies = false) => {
    if (!isObject(algorithm)) return convert(operation, domString(algorithm), NOTHING, copies);
    const { name } = algorithm;
    if (name === undefined) throw new TypeError("the algorithm has no name");
    return convert(operation, domString(name), algorithm, copies);
  };
  const NOTHING = freeze({ __proto__: null });

  const convert = (operation, given, from, copies) => {
    const name = NAMES[operation].get(toLowerCase(given));
    if (name === undefined) throw unsupported(operation, given);
    const members = SUPPORTED[operation][name];
    const normalized = { __proto__: null, name };
    for (let i = 0; i < members.length; i++) {
      const { 0: key, 1: converter, 2: isRequired } = members[i];
      const value = from[key];
      if (value !== undefined) normalized[key] = converter(value, `${name}: ${key}`);
      else if (isRequired) throw new TypeError(`${name}: ${key} is required`);
    }
    for (let i = 0; i < members.length; i++) {
      const { 0: key, 3: end } = members[i];
      if (end !== undefined && key in normalized) normalized[key] = end(normalized[key], copies);
    }
    return normalized;
  };

  const unsupported = (operation, name) => {
    const because = toLowerCase(name) === "aes-cbc" ? ": it does not notice changes; AES-GCM does" : "";
    return fails("NotSupportedError", `there is no ${operation} with ${name}${because}`);
  };

  /** Whether this algorithm's keys can be exported. */
  const isExported = (name) => name !== "HKDF" && name !== "PBKDF2";

  nexus.cryptoAlgorithms = { __proto__: null, normalize, algorithmOf, source, fails, isExported, HASHES, CURVES };
})
