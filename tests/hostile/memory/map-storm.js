// Storms of short-lived garbage.
//
// Tries: to spend its time in garbage collections, on nobody's account.
// Must: be stopped at the CPU limit: collections count.
//
// @status 503
// @limit cpu, memory

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    for (;;) Array.from({ length: 10_000 }, (_, i) => new Map([[i, { i }]]));
  },
};
