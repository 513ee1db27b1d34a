// Async generators that delegate to each other in a long chain.
//
// Tries: to multiply each step by the chain's length, in microtasks only.
// Must: be stopped at the CPU or the memory limit, or fail with an exception.
//
// @status 503, 500
// @limit cpu, memory

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    async function* endless() { for (let i = 0; ; i++) yield i; }
    async function* through(inner) { yield* inner; }
    let chain = endless();
    for (let i = 0; i < 5_000; i++) chain = through(chain);
    let sum = 0;
    for await (const value of chain) sum += value;
    return new Response(String(sum));
  },
};
