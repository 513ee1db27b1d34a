// A microtask that queues the next one, for ever.
//
// Tries: to let the turn never come to its end.
// Must: be stopped at the CPU limit.
//
// @status 503
// @limit cpu
// @stop cpu

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    for (;;) await 1;
  },
};
