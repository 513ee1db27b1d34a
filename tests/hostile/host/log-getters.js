// Proxies, getters and toString in what is logged.
//
// Tries: to compute when the console looks at it.
// Must: be logged, or be stopped at the CPU limit.
//
// @status 200, 503
// @limit cpu
// @path /proxy
// @path /getter
// @path /text
// @path /tag
// @path /iterator

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const forever = () => { for (;;); };
    const { pathname } = new URL(request.url);
    if (pathname === "/proxy") console.log(new Proxy({}, { get: forever, ownKeys: forever, getPrototypeOf: forever, getOwnPropertyDescriptor: forever }));
    if (pathname === "/getter") console.log({ get secret() { return forever(); } }, Object.create({ get constructor() { return forever(); } }));
    if (pathname === "/text") console.log("%s %d %i %o", { toString: forever, valueOf: forever }, { valueOf: forever }, { valueOf: forever });
    if (pathname === "/tag") console.log({ get [Symbol.toStringTag]() { return forever(); } });
    if (pathname === "/iterator") console.table({ *[Symbol.iterator]() { for (;;) yield 1; } });
    return new Response("logged");
  },
};
