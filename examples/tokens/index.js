// Lets in who has a JSON Web Token (RFC 7519) that one of the issuer's keys has signed, and says what is in it.
import jwks from "./keys.json" with { type: "json" };

// By `alg` of a key (RFC 7518): what it is imported as, and what it verifies with.
const ALGORITHMS = {
  RS256: { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" },
  PS256: { name: "RSA-PSS", hash: "SHA-256", saltLength: 32 },
  ES256: { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" },
  EdDSA: { name: "Ed25519" },
};
// Imported once, while the app is loaded. The key says what it is for, never the token.
const known = new Map(
  await Promise.all(
    jwks.keys.map(async (jwk) => {
      const algorithm = ALGORITHMS[jwk.alg];
      const key = await crypto.subtle.importKey("jwk", jwk, algorithm, false, ["verify"]);
      return [jwk.kid, { alg: jwk.alg, algorithm, key }];
    }),
  ),
);

class Refused extends Error {}

export default {
  async fetch(request, env) {
    const token = request.headers.get("authorization")?.match(/^Bearer ([\w-]+\.[\w-]+\.[\w-]+)$/i)?.[1];
    try {
      if (!token) throw new Refused("there is no token");
      return Response.json(await verified(token, env));
    } catch (error) {
      // What is not said here on purpose was no token at all.
      const why = error instanceof Refused ? error.message : "the token is none";
      const challenge = `Bearer error="invalid_token", error_description="${why}"`;
      return new Response(`${why}\n`, { status: 401, headers: { "www-authenticate": challenge } });
    }
  },
};

/** What a token says, if it may be believed. */
async function verified(token, { ISSUER, AUDIENCE }, now = Date.now() / 1000) {
  const [head, body, signature] = token.split(".");
  const { alg, kid } = json(head);
  const from = known.get(kid);
  if (from?.alg !== alg) throw new Refused("nobody known has signed the token");
  const signed = new TextEncoder().encode(`${head}.${body}`);
  if (!(await crypto.subtle.verify(from.algorithm, from.key, bytes(signature), signed))) {
    throw new Refused("the signature is not right");
  }
  const claims = json(body);
  if (claims.iss !== ISSUER) throw new Refused("the token is of another issuer");
  if (![claims.aud].flat().includes(AUDIENCE)) throw new Refused("the token is for somebody else");
  if (!(claims.exp > now)) throw new Refused("the token has expired");
  if (claims.nbf > now) throw new Refused("the token is not valid yet");
  return claims;
}

const bytes = (base64url) =>
  Uint8Array.from(atob(base64url.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt());
const json = (base64url) => JSON.parse(new TextDecoder().decode(bytes(base64url)));
