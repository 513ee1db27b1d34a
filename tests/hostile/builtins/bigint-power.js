// A power that has a billion digits.
//
// Tries: to compute in one multiplication for minutes.
// Must: fail with a RangeError, or be stopped at the CPU or the memory limit.
//
// @status 503, 500
// @limit cpu, memory

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    let power = 3n ** 1_000_000n;
    for (;;) power *= power;
  },
};
