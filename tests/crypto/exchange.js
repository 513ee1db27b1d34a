// What one implementation of Web Crypto gives another one: keys in each format, and what was made with them. The same file
// runs in Node.js and, as a part of `app.js`, in nexus.

const { subtle } = crypto;
const utf8 = (text) => new TextEncoder().encode(text);
const pack = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes)));
const unpack = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const DATA = utf8("what both must agree upon");
const E = new Uint8Array([1, 0, 1]);
const IV = new Uint8Array(12).map((_, i) => i);
const COUNTER = new Uint8Array(16).fill(255);
const HASHES = ["SHA-1", "SHA-256", "SHA-384", "SHA-512"];
const CURVES = ["P-256", "P-384", "P-521"];

// `[key's algorithm, usages, what they are used with]`.
const SIGNS = [
  ...HASHES.flatMap((hash) => [
    [{ name: "HMAC", hash }, { name: "HMAC" }],
    [{ name: "RSASSA-PKCS1-v1_5", modulusLength: 2048, publicExponent: E, hash }, { name: "RSASSA-PKCS1-v1_5" }],
    [{ name: "RSA-PSS", modulusLength: 2048, publicExponent: E, hash }, { name: "RSA-PSS", saltLength: 17 }],
    ...CURVES.map((namedCurve) => [{ name: "ECDSA", namedCurve }, { name: "ECDSA", hash }]),
  ]),
  [{ name: "Ed25519" }, { name: "Ed25519" }],
].map((entry) => [entry[0], ["sign", "verify"], entry[1]]);
const ENCRYPTS = [
  ...[128, 192, 256].flatMap((length) => [
    [{ name: "AES-GCM", length }, { name: "AES-GCM", iv: IV, additionalData: utf8("also"), tagLength: 96 }],
    [{ name: "AES-GCM", length }, { name: "AES-GCM", iv: utf8("an iv of another length") }],
    [{ name: "AES-CTR", length }, { name: "AES-CTR", counter: COUNTER, length: 64 }],
  ]),
  ...HASHES.map((hash) => [
    { name: "RSA-OAEP", modulusLength: 2048, publicExponent: E, hash }, { name: "RSA-OAEP", label: utf8("label") },
  ]),
].map((entry) => [entry[0], ["encrypt", "decrypt"], entry[1]]);
const AGREES = [...CURVES.map((namedCurve) => ({ name: "ECDH", namedCurve })), { name: "X25519" }];
const WRAPS = [128, 192, 256].map((length) => ({ name: "AES-KW", length }));

const FORMATS = { secret: ["raw", "jwk"], public: ["spki", "jwk", "raw"], private: ["pkcs8", "jwk"] };
const hasRaw = (key) => !key.algorithm.name.startsWith("RSA");

async function written(key) {
  const forms = {};
  for (const format of FORMATS[key.type]) {
    if (format === "raw" && key.type === "public" && !hasRaw(key)) continue;
    const data = await subtle.exportKey(format, key);
    forms[format] = format === "jwk" ? data : pack(data);
  }
  return { forms, usages: key.usages };
}
/** The key as it is read from each format. */
async function read({ forms, usages }, algorithm) {
  const keys = [];
  for (const [format, data] of Object.entries(forms)) {
    const bytes = format === "jwk" ? data : unpack(data);
    keys.push([format, await subtle.importKey(format, bytes, algorithm, true, usages)]);
  }
  return keys;
}
const both = (made) => (made.privateKey ? [made.publicKey, made.privateKey] : [made, made]);

/** Keys, and what was made with them. */
export async function produce() {
  const out = { digests: {}, signs: [], encrypts: [], agrees: [], derives: [], wraps: [] };
  for (const hash of HASHES) out.digests[hash] = pack(await subtle.digest(hash, DATA));
  for (const [algorithm, usages, use] of SIGNS) {
    const [verifying, signing] = both(await subtle.generateKey(algorithm, true, usages));
    const signature = pack(await subtle.sign(use, signing, DATA));
    out.signs.push({ verifying: await written(verifying), signing: await written(signing), signature });
  }
  for (const [algorithm, usages, use] of ENCRYPTS) {
    const [encrypting, decrypting] = both(await subtle.generateKey(algorithm, true, usages));
    const text = pack(await subtle.encrypt(use, encrypting, DATA));
    out.encrypts.push({ encrypting: await written(encrypting), decrypting: await written(decrypting), text });
  }
  for (const algorithm of AGREES) {
    const [own, other] = [await subtle.generateKey(algorithm, true, ["deriveBits"]), await subtle.generateKey(algorithm, true, ["deriveBits"])];
    const agreed = pack(await subtle.deriveBits({ name: algorithm.name, public: other.publicKey }, own.privateKey, 256));
    out.agrees.push({ own: await written(own.privateKey), other: await written(other.publicKey), agreed });
  }
  for (const hash of HASHES) out.derives.push({ hkdf: await derive("HKDF", hash), pbkdf2: await derive("PBKDF2", hash) });
  for (const algorithm of WRAPS) {
    const [kek, key] = [await subtle.generateKey(algorithm, true, ["wrapKey", "unwrapKey"]), await subtle.generateKey({ name: "AES-GCM", length: 256 }, true, ["encrypt"])];
    out.wraps.push({ kek: await written(kek), key: await written(key), wrapped: pack(await subtle.wrapKey("raw", key, kek, "AES-KW")) });
  }
  return out;
}

async function derive(name, hash) {
  const key = await subtle.importKey("raw", DATA, name, false, ["deriveBits"]);
  const params = { name, hash, salt: utf8("salt"), info: utf8("info"), iterations: 1000 };
  return pack(await subtle.deriveBits(params, key, 1000));
}

/** What is not as this implementation has it. */
export async function check(given) {
  const problems = [];
  let looked = 0;
  const look = async (what, test) => {
    looked++;
    try {
      if (!(await test())) problems.push(`${what}: it differs`);
    } catch (error) {
      problems.push(`${what}: ${error}`);
    }
  };
  const told = (algorithm, use) => `${JSON.stringify(algorithm)} ${use?.hash ?? ""}`;
  for (const hash of HASHES) await look(hash, async () => given.digests[hash] === pack(await subtle.digest(hash, DATA)));
  for (const [i, [algorithm, , use]] of SIGNS.entries()) {
    const { verifying, signing, signature } = given.signs[i];
    await look(told(algorithm, use), async () => {
      for (const [format, key] of await read(verifying, algorithm)) {
        if (!(await subtle.verify(use, key, unpack(signature), DATA))) throw new Error(`${format} does not verify`);
        for (const [form, other] of await read(signing, algorithm)) {
          const again = await subtle.sign(use, other, DATA);
          if (!(await subtle.verify(use, key, again, DATA))) throw new Error(`${form} does not sign for ${format}`);
        }
      }
      return true;
    });
  }
  for (const [i, [algorithm, , use]] of ENCRYPTS.entries()) {
    const { encrypting, decrypting, text } = given.encrypts[i];
    await look(told(algorithm, use), async () => {
      for (const [format, key] of await read(decrypting, algorithm)) {
        if (pack(await subtle.decrypt(use, key, unpack(text))) !== pack(DATA)) throw new Error(`${format} decrypts something else`);
        for (const [form, other] of await read(encrypting, algorithm)) {
          const again = await subtle.encrypt(use, other, DATA);
          if (pack(await subtle.decrypt(use, key, again)) !== pack(DATA)) throw new Error(`${form} does not encrypt for ${format}`);
        }
      }
      return true;
    });
  }
  for (const [i, algorithm] of AGREES.entries()) {
    const { own, other, agreed } = given.agrees[i];
    await look(told(algorithm), async () => {
      for (const [, key] of await read(own, algorithm)) {
        for (const [, peer] of await read(other, algorithm)) {
          if (pack(await subtle.deriveBits({ name: algorithm.name, public: peer }, key, 256)) !== agreed) return false;
        }
      }
      return true;
    });
  }
  for (const [i, hash] of HASHES.entries()) {
    await look(`HKDF ${hash}`, async () => given.derives[i].hkdf === (await derive("HKDF", hash)));
    await look(`PBKDF2 ${hash}`, async () => given.derives[i].pbkdf2 === (await derive("PBKDF2", hash)));
  }
  for (const [i, algorithm] of WRAPS.entries()) {
    const { kek, key, wrapped } = given.wraps[i];
    await look(told(algorithm), async () => {
      for (const [, own] of await read(kek, algorithm)) {
        const again = await subtle.unwrapKey("raw", unpack(wrapped), own, "AES-KW", "AES-GCM", true, ["encrypt"]);
        if (pack(await subtle.exportKey("raw", again)) !== key.forms.raw) return false;
      }
      return true;
    });
  }
  return { looked, problems };
}
