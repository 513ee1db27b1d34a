// A promise that never settles.
//
// Tries: to hold a request for ever.
// Must: be answered with 500 at once, as nothing can settle it.
//
// @status 500

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    await new Promise(() => {});
  },
};
