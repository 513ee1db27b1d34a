// Buffers of a megabyte, by the thousand.
//
// Tries: to take memory outside the heap in small steps.
// Must: fail with a RangeError, or be stopped at the memory limit.
//
// @status 503, 500
// @limit memory
// @limits cpu = "10 s"

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const kept = [];
    for (;;) kept.push(new Uint8Array(1 << 20).fill(1));
  },
};
