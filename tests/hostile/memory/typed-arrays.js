// Typed arrays of two gigabytes.
//
// Tries: to take memory outside the heap, which its limit does not know.
// Must: fail with a RangeError, or be stopped at the memory limit.
//
// @status 503, 500
// @limit memory
// @limits cpu = "10 s"

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const kept = [];
    for (;;) kept.push(new Uint8Array(2 ** 31).fill(1));
  },
};
