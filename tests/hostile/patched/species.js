// Symbol.species, Symbol.toPrimitive and constructors of typed arrays, patched.
//
// Tries: to have the host write into memory that is not what it takes it for.
// Must: be answered, or fail; only this app notices.
//
// @status 200, 500, 503
// @limit cpu
// @dead

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    class Evil extends Uint8Array {
      static get [Symbol.species]() { return function () { return new Uint8Array(0); }; }
      get length() { return 2 ** 31; }
      get byteLength() { return 2 ** 31; }
      get buffer() { return new ArrayBuffer(1); }
      get byteOffset() { return 2 ** 30; }
    }
    for (const name of ["length", "byteLength", "byteOffset", "buffer"]) {
      Object.defineProperty(Object.getPrototypeOf(Uint8Array.prototype), name, { get: () => 2 ** 30, configurable: true });
    }
    new TextDecoder().decode(new Evil(10));
    new TextEncoder().encodeInto("secret", new Evil(3));
    structuredClone(new Evil(10));
    return new Response(new Evil(10));
  },
};
