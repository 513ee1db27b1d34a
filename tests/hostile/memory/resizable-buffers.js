// Resizable buffers that reserve gigabytes and grow to them.
//
// Tries: to reserve addresses until there are none, and to grow past every account.
// Must: fail with a RangeError, or be stopped at the memory limit.
//
// @status 503, 500
// @limit memory, cpu
// @limits cpu = "2 s"

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const kept = [];
    for (;;) {
      const buffer = new ArrayBuffer(0, { maxByteLength: 2 ** 30 });
      kept.push(buffer);
      for (let size = 1 << 20; size < 2 ** 26; size += 1 << 20) {
        buffer.resize(size);
        new Uint8Array(buffer).fill(1, size - (1 << 20));
      }
    }
  },
};
