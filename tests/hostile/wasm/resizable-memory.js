// Memories with resizable buffers, which grow in place.
//
// Tries: to have memory that V8 does not count.
// Must: fail with a RangeError, or be stopped at the memory limit.
//
// @status 503, 500
// @limit memory
// @limits cpu = "10 s"

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const memory = new WebAssembly.Memory({ initial: 0, maximum: 65536 });
    const buffer = memory.toResizableBuffer();
    for (let size = 1 << 20; ; size += 1 << 20) {
      if (size & (1 << 20)) buffer.resize(size);
      else memory.grow(16);
      new Uint8Array(buffer).fill(1, size - (1 << 20));
    }
  },
};
