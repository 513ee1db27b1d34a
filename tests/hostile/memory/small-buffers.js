// Buffers of a few bytes, by the million.
//
// Tries: to have the host's bookkeeping cost more than the buffers.
// Must: be stopped at the memory or the CPU limit.
//
// @status 503, 500
// @limit memory, cpu
// @limits cpu = "2 s"

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const kept = [];
    for (;;) kept.push(new ArrayBuffer(16));
  },
};
