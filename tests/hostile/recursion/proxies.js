// A proxy around a proxy, a hundred thousand deep, and one that is its own prototype's handler.
//
// Tries: to overflow the stack in V8's C++ code.
// Must: fail with a RangeError, or be stopped.
//
// @status 500, 503
// @limit cpu, memory
// @path /nested
// @path /prototype

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    if (request.url.endsWith("/nested")) {
      let proxy = {};
      for (let i = 0; i < 100_000; i++) proxy = new Proxy(proxy, {});
      return new Response(String(proxy.secret));
    }
    const handler = {};
    const proxy = new Proxy({}, handler);
    Object.setPrototypeOf(handler, proxy);
    return new Response(String(proxy.secret));
  },
};
