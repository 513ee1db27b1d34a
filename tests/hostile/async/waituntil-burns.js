// waitUntil that computes after the response.
//
// Tries: to compute when nobody waits.
// Must: be stopped at the CPU limit of its own.
//
// @status 200
// @limit cpu
// @stop cpu

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    ctx.waitUntil((async () => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      for (;;);
    })());
    return new Response("thanks");
  },
};
