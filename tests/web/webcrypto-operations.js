// Web Cryptography: what is signed, encrypted and derived. Answers are of NIST and RFCs.
import { promise_test, test, run, assert_equals, assert_true, assert_throws_js, assert_throws_dom } from "./harness.js";

const { subtle } = crypto;
const utf8 = (text) => new TextEncoder().encode(text);
const hex = (bytes) => Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("");
const unhex = (text) => Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
const raw = (bytes, algorithm, usages) => subtle.importKey("raw", bytes, algorithm, true, usages);

test(() => {
  for (const Type of [Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array, BigInt64Array, BigUint64Array]) {
    const array = new Type(32);
    assert_equals(crypto.getRandomValues(array), array, Type.name);
    assert_true(array.some((value) => value != 0), Type.name);
  }
  for (const other of [new Float32Array(1), new Float64Array(1), new DataView(new ArrayBuffer(1))]) {
    assert_throws_dom("TypeMismatchError", () => crypto.getRandomValues(other));
  }
  for (const other of [new ArrayBuffer(1), [1], {}, undefined]) assert_throws_js(TypeError, () => crypto.getRandomValues(other));
  crypto.getRandomValues(new Uint8Array(65536));
  try {
    crypto.getRandomValues(new Uint8Array(65537));
    throw new Error("nothing was thrown");
  } catch (error) {
    assert_true(error instanceof QuotaExceededError);
  }
  const whole = new Uint8Array(64);
  crypto.getRandomValues(whole.subarray(16, 48));
  assert_true(whole.subarray(0, 16).every((byte) => byte === 0) && whole.subarray(48).every((byte) => byte === 0));
  assert_true(whole.subarray(16, 48).some((byte) => byte !== 0));
}, "getRandomValues() fills arrays of integers up to 65536 bytes");

test(() => {
  const seen = new Set();
  for (let i = 0; i < 256; i++) {
    const uuid = crypto.randomUUID();
    assert_true(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(uuid), uuid);
    seen.add(uuid);
  }
  assert_equals(seen.size, 256);
}, "randomUUID() gives UUIDs of version 4");

promise_test(async () => {
  for (const [name, data, expected] of [
    ["SHA-1", "abc", "a9993e364706816aba3e25717850c26c9cd0d89d"],
    ["sha-256", "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"],
    ["SHA-384", "abc", "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7"],
    ["SHA-512", "", "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"],
  ]) {
    const digest = await subtle.digest({ name }, utf8(data));
    assert_true(digest instanceof ArrayBuffer);
    assert_equals(hex(digest), expected, name);
  }
  // Beside the app, where it takes long: the same.
  const much = new Uint8Array(3_000_000).fill(97);
  assert_equals(hex(await subtle.digest("SHA-256", much.subarray(0, 1_000_000))), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  assert_equals(hex(await subtle.digest({ get name() { much.fill(98, 0, 1); return "SHA-1"; } }, much.subarray(0, 1))), "e9d71f5ee7c92d6dc9e92ffdad17b8bd49418f98", "after the algorithm");
  much[0] = 97;
  const digest = subtle.digest("SHA-256", much.buffer);
  much.fill(0);
  assert_equals(hex(await digest), hex(await subtle.digest("SHA-256", new Uint8Array(3_000_000).fill(97))), "a copy");
}, "digest() hashes what there is when it is called");

promise_test(async () => {
  const key = await raw(utf8("key"), { name: "HMAC", hash: "SHA-256" }, ["sign", "verify"]);
  const data = utf8("The quick brown fox jumps over the lazy dog");
  const code = await subtle.sign("HMAC", key, data);
  assert_equals(hex(code), "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8");
  assert_equals(await subtle.verify("HMAC", key, code, data), true);
  assert_equals(await subtle.verify("HMAC", key, code.slice(1), data), false);
  assert_equals(await subtle.verify("HMAC", key, code, data.subarray(1)), false);
}, "HMAC");

promise_test(async () => {
  const key = await raw(unhex("feffe9928665731c6d6a8f9467308308"), "AES-GCM", ["encrypt", "decrypt"]);
  const iv = unhex("cafebabefacedbaddecaf888");
  const additionalData = unhex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
  const text = unhex(
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
  );
  const expected =
    "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091";
  const made = await subtle.encrypt({ name: "AES-GCM", iv, additionalData }, key, text);
  assert_equals(hex(made), `${expected}5bc94fbc3221a5db94fae95ae7121a47`);
  for (const tagLength of [32, 64, 96, 104, 112, 120, 128]) {
    const algorithm = { name: "AES-GCM", iv, additionalData, tagLength };
    const cut = await subtle.encrypt(algorithm, key, text);
    assert_equals(cut.byteLength, text.length + tagLength / 8);
    assert_equals(hex(await subtle.decrypt(algorithm, key, cut)), hex(text), `${tagLength}`);
  }
  for (const changed of [{ iv: unhex("00") }, { additionalData: utf8("x") }, { tagLength: 96 }]) {
    const algorithm = { name: "AES-GCM", iv, additionalData, ...changed };
    assert_equals(await failure(subtle.decrypt(algorithm, key, made)), "OperationError");
  }
}, "AES-GCM");

promise_test(async () => {
  const key = await raw(unhex("2b7e151628aed2a6abf7158809cf4f3c"), "AES-CTR", ["encrypt", "decrypt"]);
  const counter = unhex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff");
  const made = await subtle.encrypt({ name: "AES-CTR", counter, length: 64 }, key, unhex("6bc1bee22e409f96e93d7e117393172aae2d"));
  assert_equals(hex(made), "874d6191b620e3261bef6864990db6ce9806");
  assert_equals(hex(await subtle.decrypt({ name: "AES-CTR", counter, length: 64 }, key, made)), "6bc1bee22e409f96e93d7e117393172aae2d");
  assert_equals(await failure(subtle.encrypt({ name: "AES-CTR", counter, length: 1 }, key, new Uint8Array(33))), "OperationError");
  for (const wrong of [{ length: 0 }, { length: 129 }, { counter: new Uint8Array(15) }]) {
    assert_equals(await failure(subtle.encrypt({ name: "AES-CTR", counter, length: 64, ...wrong }, key, utf8("x"))), "OperationError");
  }
}, "AES-CTR");

const E = new Uint8Array([1, 0, 1]);
const PAIRS = [
  ["RSASSA-PKCS1-v1_5", { modulusLength: 1024, publicExponent: E, hash: "SHA-256" }, {}],
  ["RSA-PSS", { modulusLength: 1024, publicExponent: E, hash: "SHA-1" }, { saltLength: 20 }],
  ["RSA-PSS", { modulusLength: 1024, publicExponent: E, hash: "SHA-256" }, { saltLength: 0 }],
  ["ECDSA", { namedCurve: "P-256" }, { hash: "SHA-256" }],
  ["ECDSA", { namedCurve: "P-384" }, { hash: "SHA-512" }],
  ["ECDSA", { namedCurve: "P-521" }, { hash: "SHA-1" }],
  ["Ed25519", {}, {}],
];
for (const [name, params, use] of PAIRS) {
  promise_test(async () => {
    const { publicKey, privateKey } = await subtle.generateKey({ name, ...params }, false, ["sign", "verify"]);
    const algorithm = { name, ...use };
    for (const data of [utf8("data"), new Uint8Array(0), new Uint8Array(1_000_000)]) {
      const signature = await subtle.sign(algorithm, privateKey, data);
      assert_equals(await subtle.verify(algorithm, publicKey, signature, data), true);
      assert_equals(await subtle.verify(algorithm, publicKey, signature, utf8("Data")), false);
      const changed = new Uint8Array(signature);
      changed[7] ^= 1;
      assert_equals(await subtle.verify(algorithm, publicKey, changed, data), false);
      for (const other of [new Uint8Array(0), changed.subarray(1), new Uint8Array(changed.length)]) {
        assert_equals(await subtle.verify(algorithm, publicKey, other, data), false);
      }
    }
    assert_equals(await failure(subtle.sign(algorithm, publicKey, E)), "InvalidAccessError");
    assert_equals(await failure(subtle.verify(algorithm, privateKey, E, E)), "InvalidAccessError");
  }, `${name} ${JSON.stringify(params)}`);
}

promise_test(async () => {
  const { publicKey, privateKey } = await subtle.generateKey(
    { name: "RSA-OAEP", modulusLength: 1024, publicExponent: E, hash: "SHA-256" }, false, ["encrypt", "decrypt"],
  );
  for (const label of [undefined, utf8("label")]) {
    const made = await subtle.encrypt({ name: "RSA-OAEP", label }, publicKey, utf8("text"));
    assert_equals(made.byteLength, 128);
    assert_equals(hex(await subtle.decrypt({ name: "RSA-OAEP", label }, privateKey, made)), hex(utf8("text")));
    assert_equals(await failure(subtle.decrypt({ name: "RSA-OAEP", label: utf8("other") }, privateKey, made)), "OperationError");
  }
  assert_equals(await failure(subtle.encrypt("RSA-OAEP", publicKey, new Uint8Array(63))), "OperationError");
  assert_equals(await failure(subtle.encrypt("RSA-OAEP", privateKey, E)), "InvalidAccessError");
}, "RSA-OAEP");

promise_test(async () => {
  const password = await subtle.importKey("raw", utf8("password"), "PBKDF2", false, ["deriveBits", "deriveKey"]);
  const bits = (iterations, length) =>
    subtle.deriveBits({ name: "PBKDF2", hash: "SHA-1", salt: utf8("salt"), iterations }, password, length);
  assert_equals(hex(await bits(2, 160)), "ea6c014dc72d6f8ccd1ed92ace1d41f0d8de8957");
  assert_equals(hex(await bits(4096, 160)), "4b007901b765489abead49d926f721d065a429c1");
  assert_equals((await bits(1, 0)).byteLength, 0);
  for (const [iterations, length] of [[0, 160], [1, 7], [1, null], [20_000_000, 160], [4_000_000_000, 8]]) {
    assert_equals(await failure(bits(iterations, length)), "OperationError", `${iterations} ${length}`);
  }
  const secret = await subtle.importKey("raw", new Uint8Array(22).fill(11), "HKDF", false, ["deriveBits", "deriveKey"]);
  const hkdf = { name: "HKDF", hash: "SHA-256", salt: unhex("000102030405060708090a0b0c"), info: unhex("f0f1f2f3f4f5f6f7f8f9") };
  assert_equals(hex(await subtle.deriveBits(hkdf, secret, 336)), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
  assert_equals(await failure(subtle.deriveBits(hkdf, secret, 8 * 255 * 32 + 8)), "OperationError");
  const key = await subtle.deriveKey(hkdf, secret, { name: "AES-GCM", length: 256 }, true, ["encrypt"]);
  assert_equals(hex(await subtle.exportKey("raw", key)), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf");
  const hmac = await subtle.deriveKey(hkdf, secret, { name: "HMAC", hash: "SHA-512" }, true, ["sign"]);
  assert_equals(hmac.algorithm.length, 1024);
}, "HKDF and PBKDF2");

for (const algorithm of [{ name: "ECDH", namedCurve: "P-256" }, { name: "ECDH", namedCurve: "P-521" }, { name: "X25519" }]) {
  promise_test(async () => {
    const [a, b] = [await subtle.generateKey(algorithm, false, ["deriveBits"]), await subtle.generateKey(algorithm, false, ["deriveBits", "deriveKey"])];
    const { name } = algorithm;
    const bits = (own, other, length) => subtle.deriveBits({ name, public: other.publicKey }, own.privateKey, length);
    const agreed = hex(await bits(a, b, null));
    assert_equals(agreed, hex(await bits(b, a)));
    assert_equals(hex(await bits(a, b, 128)), agreed.slice(0, 32));
    const seven = await bits(a, b, 13);
    assert_equals(hex(seven), hex([parseInt(agreed.slice(0, 2), 16), parseInt(agreed.slice(2, 4), 16) & 0xf8]));
    assert_equals(await failure(bits(a, b, 8 * 67)), "OperationError");
    assert_equals(await failure(subtle.deriveBits({ name, public: a.privateKey }, b.privateKey, 8)), "InvalidAccessError");
    const key = await subtle.deriveKey({ name, public: a.publicKey }, b.privateKey, { name: "AES-KW", length: 192 }, true, ["wrapKey"]);
    assert_equals(hex(await subtle.exportKey("raw", key)), agreed.slice(0, 48));
  }, `${algorithm.name} ${algorithm.namedCurve ?? ""}`);
}

test(() => {
  assert_equals(subtle.timingSafeEqual(utf8("same"), utf8("same")), true);
  assert_equals(subtle.timingSafeEqual(utf8("same"), utf8("Same").buffer), false);
  assert_throws_js(TypeError, () => subtle.timingSafeEqual(utf8("a"), utf8("ab")));
  assert_throws_js(TypeError, () => subtle.timingSafeEqual("a", "a"));
}, "timingSafeEqual()");

async function failure(promise) {
  try {
    await promise;
    return "nothing";
  } catch (error) {
    return error.name;
  }
}

export default run;
