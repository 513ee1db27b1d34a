// JSON that nests a million deep, read and written.
//
// Tries: to overflow the stack in the parser and in the writer.
// Must: fail with an exception, or be stopped at a limit.
//
// @status 500, 503
// @limit cpu, memory
// @path /parse
// @path /write
// @path /toJSON

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const { pathname } = new URL(request.url);
    if (pathname === "/parse") return new Response(JSON.parse("[".repeat(5_000_000) + "]".repeat(5_000_000)).length);
    if (pathname === "/toJSON") return Response.json({ toJSON() { return { secret: this, next: { toJSON: this.toJSON } }; } });
    let deep = [];
    for (let i = 0; i < 1_000_000; i++) deep = [deep];
    return Response.json(deep);
  },
};
