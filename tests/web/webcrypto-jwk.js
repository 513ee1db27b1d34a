// JSON Web Keys of any shape: each is read as what it says, or refused with an error of the standard's.
import { promise_test, run, assert_equals, assert_true } from "./harness.js";

const { subtle } = crypto;
const E = new Uint8Array([1, 0, 1]);

/** Numbers from a seed: a failure comes again. Mulberry32. */
function random(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const RSA = { modulusLength: 1024, publicExponent: E, hash: "SHA-256" };
const ALL = [
  [{ name: "AES-GCM", length: 256 }, ["encrypt", "decrypt"]],
  [{ name: "HMAC", hash: "SHA-256", length: 256 }, ["sign", "verify"]],
  [{ name: "RSA-PSS", ...RSA }, ["sign", "verify"]],
  [{ name: "RSA-OAEP", ...RSA }, ["encrypt", "decrypt"]],
  [{ name: "ECDSA", namedCurve: "P-256" }, ["sign", "verify"]],
  [{ name: "ECDH", namedCurve: "P-521" }, ["deriveBits"]],
  [{ name: "Ed25519" }, ["sign", "verify"]],
  [{ name: "X25519" }, ["deriveBits"]],
];
const NAMES = ["alg", "crv", "d", "dp", "dq", "e", "ext", "k", "key_ops", "kty", "n", "oth", "p", "q", "qi", "use", "x", "y"];
// What is a key's, not of its use.
const NUMBERS = ["kty", "crv", "k", "n", "e", "d", "p", "q", "dp", "dq", "qi", "x", "y"];
// What an import may say: the standard has no others.
const ERRORS = ["DataError", "NotSupportedError", "SyntaxError", "TypeError"];
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** A JSON Web Key that is nearly this one. */
function changed(jwk, others, next) {
  const pick = (list) => list[Math.floor(next() * list.length)];
  const made = { ...jwk };
  const member = pick(next() < 0.8 ? Object.keys(jwk) : NAMES);
  const text = String(made[member] ?? "AQAB");
  const at = Math.floor(next() * text.length);
  const changes = [
    () => delete made[member],
    () => (made[member] = pick([null, 7, "", true, {}, [], ["sign"], ["sign", "sign"], "AA", "A", "AAAA", "=", "a b", "ä", "\0", "A".repeat(5000)])),
    () => (made[member] = text.slice(0, at) + pick(ALPHABET) + text.slice(at + 1)),
    () => (made[member] = text.slice(0, at)),
    () => (made[member] = `AAAA${text}`),
    () => (made[member] = text + pick(["=", "A", "AAAA", "+", "/"])),
    () => (made[member] = pick(others)[member]),
    () => (made[member] = made[pick(NAMES)]),
    () => (made.oth = pick([[], [{ r: "AQAB", d: "AQAB", t: "AQAB" }], [null], [7], {}])),
  ];
  pick(changes)();
  if (next() < 0.2) return changed(made, others, next);
  return made;
}

// Integers of RSA keys may have zeroes before them, of which nothing is left.
const integer = (text) => Uint8Array.fromBase64(text, { alphabet: "base64url" }).toHex().replace(/^(00)+/, "");
const numbers = (jwk) =>
  JSON.stringify(
    NUMBERS.map((name) => jwk[name] !== undefined && String(jwk[name])).map((text, i) => (String(jwk.kty) === "RSA" && i > 0 && text ? integer(text) : text)),
  );

for (const [algorithm, usages] of ALL) {
  promise_test(async () => {
    const next = random(8);
    const made = [await subtle.generateKey(algorithm, true, usages), await subtle.generateKey(algorithm, true, usages)];
    const keys = made.flatMap((one) => (one instanceof CryptoKey ? [one] : [one.publicKey, one.privateKey]));
    const jwks = await Promise.all(keys.map((key) => subtle.exportKey("jwk", key)));
    const wrapping = await subtle.generateKey({ name: "AES-GCM", length: 128 }, false, ["encrypt", "unwrapKey"]);
    const how = { name: "AES-GCM", iv: new Uint8Array(12) };
    const seen = { taken: 0, refused: 0 };
    for (let i = 0; i < 200; i++) {
      const which = Math.floor(next() * keys.length);
      const jwk = changed(jwks[which], jwks, next);
      const allowed = next() < 0.9 ? keys[which].usages : [];
      const told = `${i}: ${JSON.stringify(jwk)}`;
      let outcome;
      try {
        const key = await subtle.importKey("jwk", jwk, algorithm, true, allowed);
        // What was read is what was written, and what the next one reads.
        const again = await subtle.exportKey("jwk", key);
        assert_equals(numbers(again), numbers(Object.fromEntries(Object.entries(jwk).filter(([name]) => name in again))), told);
        assert_equals(`${again.key_ops} ${again.ext}`, `${key.usages} true`, told);
        outcome = "taken";
        seen.taken++;
      } catch (error) {
        if (error.name === "AssertionError") throw error;
        assert_true(ERRORS.includes(error.name), `${told}: ${error}`);
        // No error tells a number of the key.
        for (const name of ["k", "d", "p", "q"]) assert_true(!(jwk[name]?.length > 8 && String(error).includes(jwk[name])), told);
        outcome = error.name;
        seen.refused++;
      }
      // The same text, unwrapped, is the same key.
      const wrapped = await subtle.encrypt(how, wrapping, new TextEncoder().encode(JSON.stringify(jwk)));
      const unwrapped = await subtle.unwrapKey("jwk", wrapped, wrapping, how, algorithm, true, allowed).then(() => "taken", (error) => error.name);
      assert_equals(unwrapped, outcome, told);
    }
    assert_true(seen.taken > 10 && seen.refused > 30, JSON.stringify(seen));
  }, `${algorithm.name}: JSON Web Keys that are nearly right`);
}

promise_test(async () => {
  const next = random(9);
  const wrapping = await subtle.generateKey({ name: "AES-GCM", length: 128 }, false, ["encrypt", "unwrapKey"]);
  const how = { name: "AES-GCM", iv: new Uint8Array(12) };
  const valid = new TextEncoder().encode('{"kty":"oct","k":"AQAB","key_ops":["sign"],"ext":true}');
  let taken = 0;
  for (let i = 0; i < 500; i++) {
    const text = valid.slice(0, next() < 0.3 ? Math.floor(next() * valid.length) : valid.length);
    for (let k = 0; k < Math.floor(next() * 3); k++) text[Math.floor(next() * text.length)] = Math.floor(next() * 256);
    const wrapped = await subtle.encrypt(how, wrapping, text);
    const outcome = await subtle
      .unwrapKey("jwk", wrapped, wrapping, how, { name: "HMAC", hash: "SHA-1" }, true, ["sign"])
      .then((key) => key.type, (error) => error.name);
    assert_true(["secret", "DataError", "TypeError"].includes(outcome), `${new TextDecoder().decode(text)}: ${outcome}`);
    if (outcome === "secret") taken++;
  }
  assert_true(taken > 50 && taken < 450, String(taken));
}, "any bytes as a wrapped JSON Web Key");

export default run;
