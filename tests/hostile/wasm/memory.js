// WebAssembly memories that grow and are written to.
//
// Tries: to take memory outside the heap, which its limit does not know.
// Must: fail with a RangeError, or be stopped at the memory limit.
//
// @status 503, 500
// @limit memory
// @limits cpu = "10 s"

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const kept = [];
    for (;;) {
      const memory = new WebAssembly.Memory({ initial: 1, maximum: 4096 });
      kept.push(memory);
      for (let i = 0; i < 256; i++) {
        memory.grow(16);
        new Uint8Array(memory.buffer, memory.buffer.byteLength - (1 << 20)).fill(1);
      }
    }
  },
};
