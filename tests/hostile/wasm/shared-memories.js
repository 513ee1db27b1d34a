// Shared memories of WebAssembly by the hundred, grown and written to.
//
// Tries: to take memory that belongs to no isolate.
// Must: fail with an exception, or be stopped at the memory or the CPU limit.
//
// @status 503, 500
// @limit memory, cpu
// @limits cpu = "5 s"

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const kept = [];
    for (;;) {
      const memory = new WebAssembly.Memory({ initial: 512, maximum: 4096, shared: true });
      new Uint8Array(memory.buffer).fill(1);
      kept.push(memory);
    }
  },
};
