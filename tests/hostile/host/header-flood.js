// Responses with a hundred thousand header fields, and with one of a hundred megabytes.
//
// Tries: to have the host hold and send them.
// Must: be refused, sent, or stopped.
//
// @status 200, 500, 503
// @limit cpu, memory
// @limits cpu = "2 s"
// @path /many
// @path /large
// @path /cookies

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const headers = new Headers();
    const { pathname } = new URL(request.url);
    if (pathname === "/many") for (let i = 0; i < 100_000; i++) headers.set(`x-${i}`, "secret");
    if (pathname === "/large") headers.set("x", "secret".repeat(15_000_000));
    if (pathname === "/cookies") for (let i = 0; i < 100_000; i++) headers.append("set-cookie", `secret${i}=1`);
    return new Response("x", { headers });
  },
};
