// A top-level await for what never comes.
//
// Tries: to be loaded for ever.
// Must: not be served, with the reason.
//
// @refused not served

await new Promise(() => {});

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    return new Response("never");
  },
};
