// Promises that are made faster than they settle.
//
// Tries: to fill heap and microtask queue at once.
// Must: be stopped at the CPU or the memory limit.
//
// @status 503
// @limit cpu, memory

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const grow = () => Promise.all([Promise.resolve().then(grow), Promise.resolve().then(grow)]);
    await grow();
  },
};
