// Proxies for what a handler returns: a Response, its headers, its prototype.
//
// Tries: to compute when the host looks at what it got.
// Must: fail with 500, or be stopped at the CPU limit.
//
// @status 500, 503
// @limit cpu
// @path /proxy
// @path /then
// @path /headers
// @path /prototype

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const forever = () => { for (;;); };
    const { pathname } = new URL(request.url);
    if (pathname === "/proxy") return new Proxy(new Response("x"), { get: (t, k) => (k === "then" ? undefined : forever()), getPrototypeOf: forever });
    if (pathname === "/then") return { get then() { return forever(); } };
    if (pathname === "/headers") return new Response("", { headers: new Proxy({}, { ownKeys: forever }) });
    return Object.setPrototypeOf({}, new Proxy({}, { get: (t, k) => (k === "then" ? undefined : forever()), getPrototypeOf: forever }));
  },
};
