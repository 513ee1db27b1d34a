// An endless loop in a timer of a request that waits for it.
//
// Tries: to compute outside the handler.
// Must: be stopped at the limit of the request that started the timer.
//
// @status 503
// @limit cpu

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    await new Promise(() => setTimeout(() => { for (;;); }, 5));
  },
};
