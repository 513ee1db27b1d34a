// replace, map, reduce and Reflect.apply that call back into themselves.
//
// Tries: to overflow the stack through built-ins with large frames.
// Must: fail with a RangeError.
//
// @status 500, 503
// @limit cpu
// @path /replace
// @path /map
// @path /apply
// @path /bind

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const { pathname } = new URL(request.url);
    if (pathname === "/replace") { const f = () => "aaa".replace(/a/g, f); return new Response(f()); }
    if (pathname === "/map") { const f = () => [1, 2].map(f); return new Response(String(f())); }
    if (pathname === "/apply") { const f = () => Reflect.apply(f, null, []); return new Response(f()); }
    let bound = () => "secret";
    for (let i = 0; i < 1_000_000; i++) bound = bound.bind(null);
    return new Response(`${bound()}`.length > 100 ? "" : JSON.parse("{"));
  },
};
