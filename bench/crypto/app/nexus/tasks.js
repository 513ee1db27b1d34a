// What `./x bench-crypto` asks for: the same file for all servers. A path is a task, a size in KB and how often.
const { subtle } = crypto;
const IV = new Uint8Array(12);
const KEYS = {
  hmac: (hash) => subtle.generateKey({ name: "HMAC", hash }, false, ["sign", "verify"]),
  gcm: () => subtle.generateKey({ name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]),
  ecdsa: () => subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign", "verify"]),
  ed25519: () => subtle.generateKey("Ed25519", false, ["sign", "verify"]),
};
const ECDSA = { name: "ECDSA", hash: "SHA-256" };
const GCM = { name: "AES-GCM", iv: IV };
// Each gives what is done once.
const digest = (hash) => async (data) => () => subtle.digest(hash, data);
const hmac = (hash) => async (data) => {
  const key = await KEYS.hmac(hash);
  return () => subtle.sign("HMAC", key, data);
};
const TASKS = {
  "sha-1": digest("SHA-1"),
  "sha-256": digest("SHA-256"),
  "sha-384": digest("SHA-384"),
  "sha-512": digest("SHA-512"),
  "hmac-256": hmac("SHA-256"),
  "hmac-512": hmac("SHA-512"),
  encrypt: async (data) => {
    const key = await KEYS.gcm();
    return () => subtle.encrypt(GCM, key, data);
  },
  decrypt: async (data) => {
    const key = await KEYS.gcm();
    const made = await subtle.encrypt(GCM, key, data);
    return () => subtle.decrypt(GCM, key, made);
  },
  "ecdsa-sign": async (data) => {
    const { privateKey } = await KEYS.ecdsa();
    return () => subtle.sign(ECDSA, privateKey, data);
  },
  "ecdsa-verify": async (data) => {
    const { publicKey, privateKey } = await KEYS.ecdsa();
    const signature = await subtle.sign(ECDSA, privateKey, data);
    return () => subtle.verify(ECDSA, publicKey, signature, data);
  },
  "ed25519-sign": async (data) => {
    const { privateKey } = await KEYS.ed25519();
    return () => subtle.sign("Ed25519", privateKey, data);
  },
  "ed25519-verify": async (data) => {
    const { publicKey, privateKey } = await KEYS.ed25519();
    const signature = await subtle.sign("Ed25519", privateKey, data);
    return () => subtle.verify("Ed25519", publicKey, signature, data);
  },
};

/** Does a task so often, one after the other. */
export async function perform(path) {
  const [, name, size, count] = path.split("/");
  const once = await TASKS[name](new Uint8Array(1024 * size).fill(7));
  for (let i = 0; i < count; i++) await once();
  return count;
}

export const handle = async (request) => new Response(await perform(new URL(request.url).pathname));
