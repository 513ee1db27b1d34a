// An endless loop after an await.
//
// Tries: to compute in a turn that no request began.
// Must: be stopped at the limit of the request that it continues.
//
// @status 503
// @limit cpu
// @stop cpu

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    await new Promise((resolve) => setTimeout(resolve, 5));
    for (;;);
  },
};
