// Streams by the ten thousand that nobody reads.
//
// Tries: to fill memory with queues and controllers.
// Must: be answered, or be stopped at the CPU or the memory limit.
//
// @status 200, 503
// @limit cpu, memory
// @limits cpu = "3 s"

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const kept = [];
    for (let i = 0; i < 50_000; i++) {
      kept.push(new ReadableStream({ start(controller) { for (let j = 0; j < 10; j++) controller.enqueue(new Uint8Array(100)); } }));
    }
    return new Response("made");
  },
};
