// Microtasks by queueMicrotask, each of which queues two.
//
// Tries: to grow the microtask queue, which lies outside the heap, faster than it is worked off.
// Must: be stopped at the CPU or the memory limit.
//
// @status 503
// @limit cpu, memory

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const more = () => { queueMicrotask(more); queueMicrotask(more); };
    more();
    await new Promise(() => {});
  },
};
