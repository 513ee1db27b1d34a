// A few kilobytes that are ten gigabytes, decompressed with and without somebody who reads, and kept.
//
// Tries: to hold memory for output that nobody has asked for.
// Must: wait for its reader, and be stopped at the CPU or the memory limit if there is one.
//
// @status 503, 500
// @limit cpu, memory

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const zeros = new Response(new Uint8Array(20_000_000)).body.pipeThrough(new CompressionStream("zstd"));
    const frame = new Uint8Array(await new Response(zeros).arrayBuffer());
    const bomb = new Uint8Array(frame.length * 500);
    for (let i = 0; i < 500; i++) bomb.set(frame, i * frame.length);
    const kept = [];
    for (let i = 0; i < 8; i++) {
      const unread = new DecompressionStream("zstd");
      unread.writable.getWriter().write(bomb);
      kept.push(unread.readable.getReader().read());
    }
    const stream = new DecompressionStream("zstd");
    stream.writable.getWriter().write(bomb);
    for (const reader = stream.readable.getReader(); ; ) kept.push(await reader.read());
  },
};
