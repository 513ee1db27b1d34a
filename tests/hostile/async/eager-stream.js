// A response's stream whose start fills its queue with gigabytes.
//
// Tries: to ignore that the client reads slowly.
// Must: be stopped at the memory or the CPU limit.
//
// @status 200, 503, cut
// @limit cpu, memory
// @limits cpu = "5 s"

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    return new Response(new ReadableStream({
      start(controller) { for (let i = 0; i < 4000; i++) controller.enqueue(new Uint8Array(1 << 20).fill(1)); },
    }));
  },
};
