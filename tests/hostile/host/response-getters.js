// Getters in all that Response reads: its options, its headers, its body.
//
// Tries: to compute when the Web APIs' own code calls back.
// Must: be stopped at the CPU limit.
//
// @status 503
// @limit cpu
// @path /status
// @path /headers
// @path /body
// @path /iterator

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const forever = () => { for (;;); };
    const { pathname } = new URL(request.url);
    if (pathname === "/status") return new Response("", { get status() { return forever(); } });
    if (pathname === "/headers") return new Response("", { headers: { get secret() { return forever(); } } });
    if (pathname === "/iterator") return new Response("", { headers: { *[Symbol.iterator]() { for (;;) yield ["a", "b"]; } } });
    return new Response({ toString: forever });
  },
};
