// An endless loop in a handler.
//
// Tries: to keep its thread for ever.
// Must: be stopped at its CPU limit; the next request gets a fresh guest.
//
// @status 503
// @limit cpu
// @stop cpu

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    for (;;);
  },
};
