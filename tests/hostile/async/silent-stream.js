// A response's stream that never says anything.
//
// Tries: to hold a connection for ever.
// Must: be let go when the client leaves.
//
// @status 200, left
// @clients 20

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    return new Response(new ReadableStream({ pull() { return new Promise((resolve) => setTimeout(resolve, 60_000)); } }));
  },
};
