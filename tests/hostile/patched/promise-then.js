// Promise.prototype.then and its constructor, patched to loop.
//
// Tries: to compute in the host's own use of promises.
// Must: be answered, or be stopped; only this app notices.
//
// @status 200, 500, 503, 504
// @limit cpu, wall
// @path /then
// @path /species
// @path /constructor
// @dead

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const forever = () => { for (;;); };
    const { pathname } = new URL(request.url);
    if (pathname === "/then") Promise.prototype.then = forever;
    if (pathname === "/species") Object.defineProperty(Promise, Symbol.species, { get: forever });
    if (pathname === "/constructor") Object.defineProperty(Promise.prototype, "constructor", { get: forever });
    ctx.waitUntil(Promise.resolve(1));
    const stream = new ReadableStream({ async pull(controller) { controller.enqueue(new Uint8Array(10)); controller.close(); } });
    return new Response(await new Response(stream).text());
  },
};
