// Objects without an end while the app is evaluated.
//
// Tries: to fill the heap before there is a request.
// Must: not be served, for its memory limit.
//
// @refused memory
// @limits startup = "20 s"
// @limits memory = "64 MB"

const kept = [];
for (;;) kept.push(new Array(1000).fill(0).map((_, i) => ({ i })));

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    return new Response("never");
  },
};
