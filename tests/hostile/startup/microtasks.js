// Microtasks without an end while the app is evaluated.
//
// Tries: the same after an await.
// Must: not be served, for its startup limit.
//
// @refused startup

for (;;) await 1;

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    return new Response("never");
  },
};
