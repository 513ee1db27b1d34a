// Web Cryptography beside code that has changed the built-ins before: it sees nothing of a key that is derived, unwrapped or
// wrapped, and changes nothing of what a key may be used for.
import { promise_test, run, assert_equals, assert_true } from "./harness.js";

const utf8 = (text) => new TextEncoder().encode(text);
const hex = (bytes) => Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("");

const { defineProperty, getOwnPropertyDescriptor, setPrototypeOf, deleteProperty, ownKeys, apply } = Reflect;
const { isView } = ArrayBuffer;
const NAMES = [
  "then", "constructor", "toJSON", "toString", "valueOf", "name", "hash", "length", "value", "promise", "done", "next", "get", "set",
  "alg", "crv", "d", "dp", "dq", "e", "ext", "k", "key_ops", "kty", "n", "oth", "p", "q", "qi", "use", "x", "y", "0", "1", "2", "3", "4", "5",
  "iterator", "publicKey", "privateKey", "type", "extractable", "usages", "algorithm", "holder", "id", "writable", "enumerable",
];

/** Runs `body` while built-ins are changed such that they collect what they see: gives `[what body gave, what was seen]`. */
async function whileChanged(body) {
  // Lists that ask no prototype for anything.
  let seen = null;
  let undo = null;
  const see = (value) => {
    seen = { __proto__: null, value, next: seen };
  };
  const change = (holder, key, descriptor) => {
    const before = getOwnPropertyDescriptor(holder, key);
    if (before !== undefined && !before.configurable) return;
    if (before !== undefined) setPrototypeOf(before, null);
    if (!defineProperty(holder, key, { __proto__: null, ...descriptor, configurable: true })) return;
    const back = () => (before === undefined ? deleteProperty(holder, key) : defineProperty(holder, key, before));
    undo = { __proto__: null, back, next: undo };
  };
  const spyOn = (holder) => {
    const keys = ownKeys(holder);
    for (let at = 0; at < keys.length; at++) {
      const key = keys[at];
      const { value, get } = getOwnPropertyDescriptor(holder, key);
      if (typeof value === "function" && key !== "constructor") {
        change(holder, key, { value: function (...given) { see(this); for (let i = 0; i < given.length; i++) see(given[i]); return apply(value, this, given); } });
      } else if (get !== undefined) {
        change(holder, key, { get() { see(this); return apply(get, this, []); } });
      }
    }
  };
  const { prototype } = Promise;
  const native = { then: prototype.then };
  const TypedArray = Object.getPrototypeOf(Uint8Array);
  const holders = [
    JSON, Uint8Array.prototype, TypedArray.prototype, TypedArray, ArrayBuffer.prototype, ArrayBuffer, Array, String.prototype,
    Map.prototype, Set.prototype, Object, Reflect, Math,
  ];
  for (let i = 0; i < holders.length; i++) spyOn(holders[i]);
  change(prototype, "then", { value: function (a, b) { see(this); return apply(native.then, this, [a, b]); } });
  change(prototype, "constructor", { get() { see(this); return Promise; } });
  change(Promise, Symbol.species, { get() { see(this); return this; } });
  change(Array.prototype, Symbol.iterator, { value: function* () { see(this); for (let i = 0; i < this.length; i++) yield this[i]; } });
  for (const holder of [Array.prototype, String.prototype, Uint8Array.prototype, ArrayBuffer.prototype]) {
    change(holder, "toJSON", { get() { see(this); return undefined; }, set(value) { see(value); } });
    change(holder, "then", { get() { see(this); return undefined; }, set(value) { see(value); } });
  }
  for (const name of NAMES) {
    if (name in {} && name !== "toString" && name !== "valueOf" && name !== "constructor") continue;
    change(Object.prototype, name, { get() { see(this); return undefined; }, set(value) { see(this); see(value); } });
  }
  let made;
  try {
    made = await body();
  } finally {
    for (; undo !== null; undo = undo.next) undo.back();
  }
  const all = [];
  for (; seen !== null; seen = seen.next) all.push(seen.value);
  return [made, all];
}

/** What can be read of a value, and of what it has: bytes in hexadecimal, and texts. */
async function readable(value, depth = 3) {
  if (typeof value === "string") return [value];
  if (typeof value !== "object" || value === null || depth === 0) return [];
  if (value instanceof ArrayBuffer) return [hex(value)];
  if (isView(value)) return [hex(new Uint8Array(value.buffer))];
  if (value instanceof Promise) {
    const settled = await Promise.race([value.catch(() => undefined), new Promise((resolve) => setTimeout(resolve, 10))]);
    return readable(settled, depth - 1);
  }
  const all = [];
  for (const key of ownKeys(value)) {
    const descriptor = getOwnPropertyDescriptor(value, key);
    if ("value" in descriptor) all.push(...(await readable(descriptor.value, depth - 1)));
  }
  return all;
}

async function assertUnseen(seen, secrets) {
  const texts = (await Promise.all([...new Set(seen)].map((value) => readable(value)))).flat();
  for (const secret of secrets) {
    const forms = [hex(secret), secret.toBase64({ alphabet: "base64url", omitPadding: true })];
    const told = texts.find((text) => forms.some((form) => text.includes(form)));
    assert_equals(told, undefined, "the secret was seen");
  }
}

const SECRET = utf8("a secret with 32 bytes, no less.");
const PASSWORD = utf8("password");
const SALT = utf8("salt");
const IV = new Uint8Array(12);
const HMAC = { name: "HMAC", hash: "SHA-256", length: 256 };

// It is the first test, so that the files of `crypto` run with everything changed.
promise_test(async () => {
  const iterations = { one: 1, many: 20_000 };
  const [keys, seen] = await whileChanged(async () => {
    const { subtle } = crypto;
    const password = await subtle.importKey("raw", PASSWORD, "PBKDF2", false, ["deriveKey"]);
    const hkdf = await subtle.importKey("raw", PASSWORD, "HKDF", false, ["deriveKey"]);
    const derive = (key, algorithm) => subtle.deriveKey({ hash: "SHA-256", salt: SALT, ...algorithm }, key, HMAC, false, ["sign"]);
    return {
      one: await derive(password, { name: "PBKDF2", iterations: iterations.one }),
      many: await derive(password, { name: "PBKDF2", iterations: iterations.many }),
      hkdf: await derive(hkdf, { name: "HKDF", info: SALT }),
    };
  });
  const { subtle } = crypto;
  const secrets = [];
  for (const [name, key] of Object.entries(keys)) {
    const algorithm = name === "hkdf" ? { name: "HKDF", info: SALT } : { name: "PBKDF2", iterations: iterations[name] };
    const base = await subtle.importKey("raw", PASSWORD, algorithm.name, false, ["deriveBits"]);
    const bits = new Uint8Array(await subtle.deriveBits({ hash: "SHA-256", salt: SALT, ...algorithm }, base, 256));
    const same = await subtle.importKey("raw", bits, HMAC, false, ["sign"]);
    assert_equals(hex(await subtle.sign("HMAC", key, SALT)), hex(await subtle.sign("HMAC", same, SALT)), name);
    assert_equals(`${key.usages} ${key.extractable}`, "sign false");
    secrets.push(bits);
  }
  await assertUnseen(seen, secrets);
}, "what derived keys are");

promise_test(async () => {
  for (const naive of [() => SECRET.slice(), async () => [await { value: SECRET }], () => JSON.stringify({ k: SECRET.toHex() }), () => ({ ...{}, key: (({}).k = SECRET) })]) {
    const [, seen] = await whileChanged(async () => void (await naive()));
    const shown = await assertUnseen(seen, [SECRET]).then(() => "unseen", () => "seen");
    assert_equals(shown, "seen", `${naive}`);
  }
}, "who does it naively is seen");

promise_test(async () => {
  const { subtle } = crypto;
  for (const namedCurve of ["P-256", "X25519"]) {
    const algorithm = namedCurve === "X25519" ? { name: "X25519" } : { name: "ECDH", namedCurve };
    const [own, other] = [await subtle.generateKey(algorithm, false, ["deriveKey", "deriveBits"]), await subtle.generateKey(algorithm, false, ["deriveKey"])];
    const how = { name: algorithm.name, public: other.publicKey };
    const [key, seen] = await whileChanged(() => subtle.deriveKey(how, own.privateKey, HMAC, false, ["sign"]));
    assert_equals(key.type, "secret");
    await assertUnseen(seen, [new Uint8Array(await subtle.deriveBits(how, own.privateKey, 256))]);
  }
}, "what keys agree upon");

promise_test(async () => {
  const { subtle } = crypto;
  const make = () => subtle.generateKey({ name: "X25519" }, false, ["deriveKey"]);
  const [own, other, mine] = [await make(), await make(), await make()];
  const password = await subtle.importKey("raw", PASSWORD, "PBKDF2", false, ["deriveKey"]);
  const sign = async (how, key) => hex(await subtle.sign("HMAC", await subtle.deriveKey(how, key, HMAC, false, ["sign"]), SALT));
  const ways = [
    [{ name: "X25519", public: other.publicKey }, own.privateKey],
    [{ name: "PBKDF2", hash: "SHA-256", salt: SALT, iterations: 50 }, password],
  ];
  for (const [how, key] of ways) {
    const right = await sign(how, key);
    // What lists lack is asked of these.
    for (const value of [() => mine.publicKey, () => 1, () => NaN, 1, "sign"]) {
      for (let i = 0; i < 10; i++) defineProperty(Object.prototype, i, { __proto__: null, get: () => value, configurable: true });
      let made;
      try {
        made = await sign(how, key);
      } finally {
        for (let i = 0; i < 10; i++) deleteProperty(Object.prototype, i);
      }
      assert_equals(made, right, `${how.name} ${value}`);
    }
  }
}, "what is asked for is what is done");

promise_test(async () => {
  const { subtle } = crypto;
  const kw = await subtle.generateKey({ name: "AES-KW", length: 256 }, false, ["wrapKey", "unwrapKey"]);
  const gcm = await subtle.generateKey({ name: "AES-GCM", length: 256 }, false, ["encrypt", "wrapKey", "unwrapKey"]);
  const oaep = await subtle.generateKey({ name: "RSA-OAEP", modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]), hash: "SHA-1" }, false, ["wrapKey", "unwrapKey"]);
  const key = await subtle.importKey("raw", SECRET, HMAC, true, ["sign"]);
  const right = hex(await subtle.sign("HMAC", key, SALT));
  for (const [how, wrapping, unwrapping, format] of [
    ["AES-KW", kw, kw, "raw"],
    [{ name: "AES-GCM", iv: IV }, gcm, gcm, "raw"],
    [{ name: "AES-GCM", iv: IV }, gcm, gcm, "jwk"],
    ["RSA-OAEP", oaep.publicKey, oaep.privateKey, "raw"],
    ["RSA-OAEP", oaep.publicKey, oaep.privateKey, "jwk"],
  ]) {
    const [again, seen] = await whileChanged(async () => {
      const wrapped = await subtle.wrapKey(format, key, wrapping, how);
      return subtle.unwrapKey(format, wrapped, unwrapping, how, HMAC, false, ["sign"]);
    });
    assert_equals(hex(await subtle.sign("HMAC", again, SALT)), right);
    await assertUnseen(seen, [SECRET]);
  }
  // So much that it is calculated beside the app.
  const long = new Uint8Array(2 << 20).fill(7);
  const wrapped = await subtle.encrypt({ name: "AES-GCM", iv: IV }, gcm, long);
  const [again, seen] = await whileChanged(() => subtle.unwrapKey("raw", wrapped, gcm, { name: "AES-GCM", iv: IV }, { name: "HMAC", hash: "SHA-1" }, false, ["sign"]));
  assert_equals(again.algorithm.length, 16 << 20);
  assert_true(!seen.some((value) => (value instanceof ArrayBuffer || isView(value)) && value.byteLength === long.length), "the long key was seen");
}, "what wrapped keys are");

promise_test(async () => {
  const { subtle } = crypto;
  const gcm = await subtle.generateKey({ name: "AES-GCM", length: 256 }, false, ["encrypt", "unwrapKey"]);
  // A key of 4,224 bits is imported beside the app.
  for (const modulusLength of [1024, 4224]) {
    const made = await subtle.generateKey({ name: "RSA-PSS", modulusLength, publicExponent: new Uint8Array([1, 0, 1]), hash: "SHA-256" }, true, ["sign", "verify"]);
    const jwk = await subtle.exportKey("jwk", made.privateKey);
    const pkcs8 = new Uint8Array(await subtle.exportKey("pkcs8", made.privateKey));
    for (const [format, data] of [["jwk", utf8(JSON.stringify(jwk))], ["pkcs8", pkcs8]]) {
      const wrapped = await subtle.encrypt({ name: "AES-GCM", iv: IV }, gcm, data);
      const [key, seen] = await whileChanged(() =>
        subtle.unwrapKey(format, wrapped, gcm, { name: "AES-GCM", iv: IV }, { name: "RSA-PSS", hash: "SHA-256" }, false, ["sign"]));
      assert_equals(`${key.usages} ${key.type} ${key.algorithm.modulusLength}`, `sign private ${modulusLength}`);
      const numbers = ["d", "p", "q", "dp", "dq", "qi"].map((name) => Uint8Array.fromBase64(jwk[name], { alphabet: "base64url" }));
      await assertUnseen(seen, [...numbers, pkcs8]);
    }
  }
}, "the numbers of an unwrapped RSA key");

promise_test(async () => {
  const { subtle } = crypto;
  const wide = { name: "RSA-OAEP", modulusLength: 1024, publicExponent: new Uint8Array([0, 1, 0, 1]), hash: "SHA-1" };
  const [pair] = await whileChanged(() => subtle.generateKey(wide, true, ["encrypt", "decrypt"]));
  assert_equals(`${pair.publicKey.usages} ${pair.privateKey.usages}`, "encrypt decrypt");
  assert_equals(JSON.stringify(pair.publicKey.algorithm), JSON.stringify({ ...wide, publicExponent: wide.publicExponent, hash: { name: "SHA-1" } }));
  const [jwk] = await whileChanged(() => subtle.exportKey("jwk", pair.privateKey));
  assert_equals(JSON.stringify(Object.keys(jwk).sort()), JSON.stringify(["alg", "d", "dp", "dq", "e", "ext", "key_ops", "kty", "n", "p", "q", "qi"]));
  assert_equals(Object.getPrototypeOf(jwk), Object.prototype);
  assert_equals(JSON.stringify(jwk.key_ops), '["decrypt"]');
}, "what is made has properties of its own");

export default run;
