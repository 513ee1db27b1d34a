// Proxies and errors with getters as what is thrown.
//
// Tries: to compute when the host writes the exception into the log.
// Must: fail with 500, or be stopped at the CPU limit; no stack goes to the client.
//
// @status 500, 503
// @limit cpu
// @path /proxy
// @path /message
// @path /stack
// @path /cause
// @path /name

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const forever = () => { for (;;); };
    const { pathname } = new URL(request.url);
    if (pathname === "/proxy") throw new Proxy({}, { get: forever, ownKeys: forever, getPrototypeOf: forever });
    const name = pathname.slice(1);
    throw Object.defineProperty(new Error("secret"), name, { get: forever });
  },
};
