// Twenty clients at once, each of whose requests loops.
//
// Tries: to be stopped twenty times over, or to be missed between two stops.
// Must: give each client its 503.
//
// @status 503
// @limit cpu
// @clients 20

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    await new Promise((resolve) => setTimeout(resolve, 10));
    for (;;);
  },
};
