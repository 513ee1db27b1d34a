// A BigInt of millions of digits, as decimal text and back.
//
// Tries: to compute in one conversion for minutes.
// Must: be stopped at the CPU limit.
//
// @status 503
// @limit cpu, memory

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const number = 1n << 100_000_000n;
    return new Response(String((number - 1n).toString().length));
  },
};
