// Generators that delegate to each other in a chain of a hundred thousand.
//
// Tries: to overflow the native stack by resuming all of them at once.
// Must: fail with a RangeError, or be stopped at the CPU limit.
//
// @status 503, 500
// @limit cpu, memory

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    function* endless() { for (;;) yield 1; }
    function* through(inner) { yield* inner; }
    let chain = endless();
    for (let i = 0; i < 100_000; i++) chain = through(chain);
    let sum = 0;
    for (const value of chain) sum += value;
    return new Response(String(sum));
  },
};
