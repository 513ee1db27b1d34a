// Short turns without an end, each after a timer.
//
// Tries: to stay below any limit on a single turn.
// Must: be stopped: what a request's turns use together counts.
//
// @status 503
// @limit cpu
// @stop cpu

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      const until = performance.now() + 2;
      while (performance.now() < until);
    }
  },
};
