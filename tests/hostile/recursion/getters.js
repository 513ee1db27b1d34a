// Getters, toString, valueOf and Symbol.toPrimitive that lead back to themselves.
//
// Tries: to overflow the stack through the engine's conversions.
// Must: fail with a RangeError.
//
// @status 500, 503
// @limit cpu
// @path /getter
// @path /text
// @path /primitive

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const { pathname } = new URL(request.url);
    if (pathname === "/getter") return new Response(String({ get secret() { return this.secret; } }.secret));
    if (pathname === "/text") return new Response({ toString() { return `${this}`; } });
    return new Response({ [Symbol.toPrimitive]() { return String(this); } });
  },
};
