// Web Cryptography: keys, how they are read and written, and which errors come first.
import { promise_test, test, run, assert_equals, assert_true, assert_throws_js } from "./harness.js";

const { subtle } = crypto;
const utf8 = (text) => new TextEncoder().encode(text);
const hex = (bytes) => Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("");
const E = new Uint8Array([1, 0, 1]);

test(() => {
  assert_equals(Object.prototype.toString.call(crypto), "[object Crypto]");
  assert_equals(crypto.subtle, subtle);
  for (const Interface of [Crypto, SubtleCrypto, CryptoKey]) assert_throws_js(TypeError, () => new Interface());
  for (const name of Object.getOwnPropertyNames(SubtleCrypto.prototype)) {
    if (name !== "constructor" && name !== "timingSafeEqual") assert_true(subtle[name]() instanceof Promise, name);
  }
}, "the interfaces");

/** What comes of a promise: its value's `show`, or the name of its exception. */
async function outcome(promise, show = () => "done") {
  try {
    return show(await promise);
  } catch (error) {
    return error.name;
  }
}

const ALL = [
  [{ name: "AES-GCM", length: 128 }, ["encrypt", "decrypt", "wrapKey", "unwrapKey"]],
  [{ name: "AES-CTR", length: 192 }, ["encrypt", "decrypt", "wrapKey", "unwrapKey"]],
  [{ name: "AES-KW", length: 256 }, ["wrapKey", "unwrapKey"]],
  [{ name: "HMAC", hash: "SHA-384" }, ["sign", "verify"]],
  [{ name: "RSASSA-PKCS1-v1_5", modulusLength: 1024, publicExponent: E, hash: "SHA-1" }, ["sign", "verify"]],
  [{ name: "RSA-PSS", modulusLength: 1024, publicExponent: E, hash: "SHA-256" }, ["sign", "verify"]],
  [{ name: "RSA-OAEP", modulusLength: 1024, publicExponent: E, hash: "SHA-512" }, ["encrypt", "decrypt", "wrapKey", "unwrapKey"]],
  [{ name: "ECDSA", namedCurve: "P-256" }, ["sign", "verify"]],
  [{ name: "ECDSA", namedCurve: "P-384" }, ["sign", "verify"]],
  [{ name: "ECDSA", namedCurve: "P-521" }, ["sign", "verify"]],
  [{ name: "ECDH", namedCurve: "P-256" }, ["deriveKey", "deriveBits"]],
  [{ name: "Ed25519" }, ["sign", "verify"]],
  [{ name: "X25519" }, ["deriveKey", "deriveBits"]],
];
const FORMATS = { secret: ["raw", "jwk"], public: ["raw", "spki", "jwk"], private: ["pkcs8", "jwk"] };

for (const [algorithm, usages] of ALL) {
  promise_test(async () => {
    const made = await subtle.generateKey(algorithm, true, usages);
    const keys = made instanceof CryptoKey ? [made] : [made.publicKey, made.privateKey];
    for (const key of keys) {
      assert_equals(key.algorithm.name, algorithm.name);
      assert_equals(key.algorithm, key.algorithm);
      assert_equals(key.extractable, true);
      assert_true(key.usages.every((usage) => usages.includes(usage)));
      for (const format of FORMATS[key.type]) {
        if (format === "raw" && algorithm.name.startsWith("RSA")) continue;
        const data = await subtle.exportKey(format, key);
        const again = await subtle.importKey(format, data, algorithm, true, key.usages);
        assert_equals(JSON.stringify(again.algorithm), JSON.stringify(key.algorithm), format);
        assert_equals(`${again.type} ${again.usages}`, `${key.type} ${key.usages}`, format);
        const [first, second] = [data, await subtle.exportKey(format, again)];
        assert_equals(format === "jwk" ? JSON.stringify(second) : hex(second), format === "jwk" ? JSON.stringify(first) : hex(first));
        for (const bad of format === "jwk" ? [{ ...data, kty: "none" }, { ...data, ext: false }, { ...data, key_ops: ["x", "x"] }] : [E]) {
          assert_equals(await outcome(subtle.importKey(format, bad, algorithm, true, key.usages)), algorithm.name === "HMAC" && bad === E ? "done" : "DataError", `${format} ${JSON.stringify(bad)}`);
        }
        const hidden = await subtle.importKey(format, data, algorithm, false, key.usages);
        const isPublic = key.type === "public";
        assert_equals(await outcome(subtle.exportKey(format, hidden)), isPublic ? "InvalidAccessError" : "InvalidAccessError", format);
      }
      const copy = structuredClone({ key }).key;
      assert_true(copy !== key && copy instanceof CryptoKey);
      assert_equals(JSON.stringify(await subtle.exportKey("jwk", copy)), JSON.stringify(await subtle.exportKey("jwk", key)));
    }
    assert_equals(await outcome(subtle.generateKey(algorithm, true, [])), "SyntaxError");
    const wrong = usages.includes("sign") ? "encrypt" : "sign";
    assert_equals(await outcome(subtle.generateKey(algorithm, true, [wrong])), "SyntaxError");
    assert_equals(await outcome(subtle.generateKey(algorithm, true, ["fly"])), "TypeError");
    if (keys.length === 2) {
      assert_equals(await outcome(subtle.exportKey("spki", made.privateKey)), "InvalidAccessError");
      assert_equals(await outcome(subtle.exportKey("pkcs8", made.publicKey)), "InvalidAccessError");
    }
  }, `${JSON.stringify(algorithm)} is read as it was written`);
}

promise_test(async () => {
  const kw = await subtle.generateKey({ name: "AES-KW", length: 128 }, false, ["wrapKey", "unwrapKey"]);
  const gcm = await subtle.generateKey({ name: "AES-GCM", length: 128 }, false, ["wrapKey", "unwrapKey"]);
  const oaep = await subtle.generateKey({ name: "RSA-OAEP", modulusLength: 2048, publicExponent: E, hash: "SHA-1" }, false, ["wrapKey", "unwrapKey"]);
  const hmac = { name: "HMAC", hash: "SHA-256" };
  const key = await subtle.generateKey({ ...hmac, length: 256 }, true, ["sign"]);
  const iv = new Uint8Array(12);
  for (const [how, wrapping, unwrapping, formats] of [
    ["AES-KW", kw, kw, ["raw"]],
    [{ name: "AES-GCM", iv }, gcm, gcm, ["raw", "jwk"]],
    ["RSA-OAEP", oaep.publicKey, oaep.privateKey, ["raw", "jwk"]],
  ]) {
    for (const format of formats) {
      const wrapped = await subtle.wrapKey(format, key, wrapping, how);
      const again = await subtle.unwrapKey(format, wrapped, unwrapping, how, hmac, true, ["sign"]);
      assert_equals(hex(await subtle.exportKey("raw", again)), hex(await subtle.exportKey("raw", key)));
      const broken = new Uint8Array(wrapped.slice(0));
      broken[3] ^= 1;
      assert_equals(await outcome(subtle.unwrapKey(format, broken, unwrapping, how, hmac, true, ["sign"])), "OperationError");
    }
  }
  assert_equals(await outcome(subtle.wrapKey("raw", kw, kw, "AES-KW")), "InvalidAccessError");
  const encrypting = await subtle.generateKey({ name: "AES-GCM", length: 128 }, false, ["encrypt"]);
  assert_equals(await outcome(subtle.wrapKey("raw", key, encrypting, { name: "AES-GCM", iv })), "InvalidAccessError");
}, "keys are wrapped and unwrapped");

/** Whether a promise is still pending after all that can be done without a turn of the event loop. */
async function takesTurns(promise) {
  let isDone = false;
  promise.then(() => (isDone = true), () => (isDone = true));
  for (let i = 0; i < 100; i++) await null;
  const isLate = !isDone;
  await promise.catch(() => {});
  return isLate;
}

promise_test(async () => {
  const pss = { name: "RSA-PSS", hash: "SHA-256" };
  const read = (format, data, isPrivate = true) => subtle.importKey(format, data, pss, true, isPrivate ? ["sign"] : ["verify"]);
  for (const [modulusLength, isLong] of [[1024, false], [4224, true]]) {
    const { privateKey, publicKey } = await subtle.generateKey({ ...pss, modulusLength, publicExponent: E }, true, ["sign", "verify"]);
    const pkcs8 = await subtle.exportKey("pkcs8", privateKey);
    const jwk = await subtle.exportKey("jwk", privateKey);
    const spki = await subtle.exportKey("spki", publicKey);
    assert_equals(await takesTurns(read("pkcs8", pkcs8)), isLong, `PKCS #8 of ${modulusLength} bits`);
    assert_equals(await takesTurns(read("jwk", jwk)), isLong, `JSON Web Key of ${modulusLength} bits`);
    assert_equals(await takesTurns(read("spki", spki, false)), false, "a public key");
    for (const [format, data] of [["pkcs8", pkcs8], ["jwk", jwk]]) {
      const key = await read(format, data);
      assert_equals(JSON.stringify(await subtle.exportKey("jwk", key)), JSON.stringify(jwk));
      const signature = await subtle.sign({ name: "RSA-PSS", saltLength: 32 }, key, E);
      assert_true(await subtle.verify({ name: "RSA-PSS", saltLength: 32 }, publicKey, signature, E));
    }
    const broken = new Uint8Array(pkcs8.slice(0));
    broken[broken.length - 20] ^= 1;
    assert_equals(await outcome(read("pkcs8", broken)), "DataError");
    assert_equals(await outcome(read("jwk", { ...jwk, qi: jwk.dq })), "DataError");
    assert_equals(await outcome(read("pkcs8", new Uint8Array(5000))), "DataError");
    assert_equals(await outcome(subtle.importKey("pkcs8", pkcs8, pss, true, [])), "SyntaxError", "a private key without usages");
  }
  const hmac = (length) => subtle.generateKey({ name: "HMAC", hash: "SHA-256", length }, true, ["sign"]);
  assert_equals(await takesTurns(hmac(8 * 1024)), false, "an HMAC key");
  assert_equals(await takesTurns(hmac(8 << 20)), true, "an HMAC key of 1 MB");
  assert_equals((await subtle.exportKey("raw", await hmac(8 << 20))).byteLength, 1 << 20);
}, "keys that take long to import or make are left to another thread");

promise_test(async () => {
  const key = await subtle.importKey("raw", utf8("0123456789abcdef"), "AES-GCM", false, ["encrypt"]);
  const iv = new Uint8Array(12);
  for (const [expected, attempt] of [
    ["NotSupportedError", () => subtle.digest("MD5", E)],
    ["TypeError", () => subtle.digest({}, E)],
    ["TypeError", () => subtle.digest("SHA-1", "text")],
    ["NotSupportedError", () => subtle.generateKey({ name: "AES-CBC", length: 128 }, true, ["encrypt"])],
    ["OperationError", () => subtle.generateKey({ name: "AES-GCM", length: 100 }, true, ["encrypt"])],
    ["TypeError", () => subtle.generateKey({ name: "AES-GCM" }, true, ["encrypt"])],
    ["TypeError", () => subtle.generateKey({ name: "AES-GCM", length: 70000 }, true, ["encrypt"])],
    ["OperationError", () => subtle.generateKey({ name: "HMAC", hash: "SHA-1", length: 0 }, true, ["sign"])],
    ["NotSupportedError", () => subtle.generateKey({ name: "ECDSA", namedCurve: "P-192" }, true, ["sign"])],
    ["OperationError", () => subtle.generateKey({ name: "RSA-PSS", modulusLength: 256, publicExponent: E, hash: "SHA-1" }, true, ["sign"])],
    ["OperationError", () => subtle.generateKey({ name: "RSA-PSS", modulusLength: 2048, publicExponent: new Uint8Array([2]), hash: "SHA-1" }, true, ["sign"])],
    ["TypeError", () => subtle.importKey("pem", E, "AES-GCM", true, ["encrypt"])],
    ["TypeError", () => subtle.importKey("raw", { kty: "oct" }, "AES-GCM", true, ["encrypt"])],
    ["TypeError", () => subtle.importKey("jwk", E, "AES-GCM", true, ["encrypt"])],
    ["SyntaxError", () => subtle.importKey("raw", E, "AES-GCM", true, ["sign"])],
    ["DataError", () => subtle.importKey("raw", E, "AES-GCM", true, ["encrypt"])],
    ["NotSupportedError", () => subtle.importKey("spki", E, "AES-GCM", true, ["encrypt"])],
    ["SyntaxError", () => subtle.importKey("raw", E, "PBKDF2", true, ["deriveBits"])],
    ["DataError", () => subtle.importKey("jwk", { kty: "oct", k: "AQAB=" }, { name: "HMAC", hash: "SHA-1" }, true, ["sign"])],
    ["DataError", () => subtle.importKey("jwk", { kty: "oct", k: "AQAB", alg: "HS256" }, { name: "HMAC", hash: "SHA-1" }, true, ["sign"])],
    ["DataError", () => subtle.importKey("jwk", { kty: "oct", k: "AQAB", use: "enc" }, { name: "HMAC", hash: "SHA-1" }, true, ["sign"])],
    ["DataError", () => subtle.importKey("jwk", null, { name: "HMAC", hash: "SHA-1" }, true, ["sign"])],
    ["TypeError", () => subtle.importKey("raw", null, { name: "HMAC", hash: "SHA-1" }, true, ["sign"])],
    ["DataError", () => subtle.importKey("jwk", { kty: "RSA", n: "A".repeat(20_000) + "_".repeat(172), e: "AQAB" }, { name: "RSA-PSS", hash: "SHA-1" }, true, [])],
    ["DataError", () => subtle.importKey("spki", new Uint8Array(1_000_000), { name: "RSA-PSS", hash: "SHA-1" }, true, [])],
    ["DataError", () => subtle.importKey("raw", new Uint8Array(0), { name: "HMAC", hash: "SHA-1" }, true, ["sign"])],
    ["DataError", () => subtle.importKey("raw", E, { name: "HMAC", hash: "SHA-1", length: 25 }, true, ["sign"])],
    ["InvalidAccessError", () => subtle.exportKey("raw", key)],
    ["InvalidAccessError", () => subtle.decrypt({ name: "AES-GCM", iv }, key, E)],
    ["InvalidAccessError", () => subtle.encrypt({ name: "AES-CTR", counter: new Uint8Array(16), length: 64 }, key, E)],
    ["OperationError", () => subtle.encrypt({ name: "AES-GCM", iv: new Uint8Array(0) }, key, E)],
    ["OperationError", () => subtle.encrypt({ name: "AES-GCM", iv, tagLength: 127 }, key, E)],
    ["TypeError", () => subtle.encrypt({ name: "AES-GCM" }, key, E)],
    ["NotSupportedError", () => subtle.sign({ name: "AES-GCM", iv }, key, E)],
    ["TypeError", () => subtle.sign("HMAC", {}, E)],
  ]) {
    assert_equals(await outcome(attempt()), expected, `${attempt}`);
  }
}, "errors have the standard's names");

promise_test(async () => {
  const secret = utf8("0123456789abcdef");
  const key = await subtle.importKey("raw", secret, "AES-GCM", true, ["decrypt", "encrypt", "encrypt"]);
  secret.fill(0);
  assert_equals(hex(await subtle.exportKey("raw", key)), hex(utf8("0123456789abcdef")));
  assert_equals(`${key.usages}`, "encrypt,decrypt");
  // What a guest does to what it sees changes nothing of the key.
  key.algorithm.name = "HMAC";
  key.usages.length = 0;
  const made = await subtle.encrypt({ name: "AES-GCM", iv: new Uint8Array(12) }, key, E);
  assert_equals(made.byteLength, 19);
}, "a key is a copy, and keeps to itself");

promise_test(async () => {
  const algorithm = { name: "HMAC", hash: "SHA-256", length: 9 };
  const imported = await subtle.importKey("raw", new Uint8Array([0xff, 0xff]), algorithm, true, ["sign"]);
  assert_equals(hex(await subtle.exportKey("raw", imported)), "ff80");
  for (let i = 0; i < 20; i++) {
    const made = new Uint8Array(await subtle.exportKey("raw", await subtle.generateKey(algorithm, true, ["sign"])));
    assert_equals(made.length, 2);
    assert_equals(made[1] & 0x7f, 0);
  }
}, "an HMAC key has as many bits as its length says");

export default run;
