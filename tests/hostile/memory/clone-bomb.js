// structuredClone of a web of objects, again and again.
//
// Tries: to compute and allocate in V8's serialiser.
// Must: fail with an exception, or be stopped at a limit.
//
// @status 503, 500
// @limit memory, cpu

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    let web = [new Uint8Array(1000)];
    for (let i = 0; i < 20; i++) web = [web.slice(), structuredClone(web), new Map([[web, web]])];
    const kept = [];
    for (;;) kept.push(structuredClone([web, kept]));
  },
};
