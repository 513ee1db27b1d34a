// Reflect.construct and spread with tens of millions of arguments.
//
// Tries: the same by other doors.
// Must: fail with a RangeError, or be stopped.
//
// @status 503, 500
// @limit cpu, memory
// @path /construct
// @path /spread
// @path /code

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const { pathname } = new URL(request.url);
    if (pathname === "/construct") return new Response(String(Reflect.construct(Array, { length: 60_000_000 }).length));
    if (pathname === "/spread") return new Response(String(Math.max(...new Uint8Array(60_000_000))));
    return new Response(String.fromCharCode.apply(null, new Uint16Array(60_000_000)));
  },
};
