// A built-in that never comes back while the app is evaluated.
//
// Tries: to keep the host from ever saying what is served, and a thread for good.
// Must: not be served, for the startup limit.
//
// @refused startup limit
// @limits startup = "200 ms"

[].indexOf.call({ length: 2 ** 53 - 1 }, "nothing");

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    return new Response("never");
  },
};
