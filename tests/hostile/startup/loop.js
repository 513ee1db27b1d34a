// An endless loop while the app is evaluated.
//
// Tries: to keep the host from being up.
// Must: not be served, for its startup limit.
//
// @refused startup

for (;;);

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    return new Response("never");
  },
};
