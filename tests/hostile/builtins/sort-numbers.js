// Typed arrays of ten million numbers, sorted by V8's own code.
//
// Tries: to compute in C++ that checks for nothing.
// Must: be stopped at the CPU limit, at the latest when that code returns.
//
// @status 503
// @limit cpu, memory

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const numbers = new Float64Array(10_000_000);
    for (let i = 0; i < numbers.length; i++) numbers[i] = (i * 7919) % 1_000_003;
    for (;;) {
      numbers.sort();
      numbers.reverse();
    }
  },
};
