// The globals and prototypes that the Web APIs are made of, replaced.
//
// Tries: to be called by the host in place of them.
// Must: be answered, or fail; only this app notices.
//
// @status 200, 500, 503
// @limit cpu
// @dead

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const forever = () => { for (;;); };
    for (const owner of [Map, Set, WeakMap, RegExp, String, Function, Symbol, Uint8Array, ArrayBuffer, Headers, Response, Request, URL, ReadableStream]) {
      for (const name of Object.getOwnPropertyNames(owner.prototype)) {
        try { owner.prototype[name] = forever; } catch { /* it has no setter */ }
        try { Object.defineProperty(owner.prototype, name, { value: forever, configurable: true }); } catch { /* it is fixed */ }
      }
    }
    for (const owner of [Reflect, JSON, Object, Math, Number, Symbol]) {
      for (const name of Object.getOwnPropertyNames(owner)) try { owner[name] = forever; } catch { /* it is fixed */ }
    }
    return Response.json({ patched: true });
  },
};
