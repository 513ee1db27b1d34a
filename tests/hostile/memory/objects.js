// Objects that are kept, without an end.
//
// Tries: to fill the heap in small steps.
// Must: be stopped at the memory limit, and the app goes on with a fresh guest.
//
// @status 503
// @limit memory
// @limits cpu = "10 s"
// @limits memory = "64 MB"
// @stop memory

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const kept = [];
    for (;;) kept.push(new Array(1000).fill(0).map((_, i) => ({ i })));
  },
};
