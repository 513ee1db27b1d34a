// Compressors and decompressors of all formats, each with a byte of data, and none ever let go.
//
// Tries: to have the host hold their windows and tables.
// Must: get an exception, or be stopped at the memory or the CPU limit.
//
// @status 503, 500
// @limit memory, cpu

const kept = [];

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const starts = { gzip: [0x1f], brotli: [0x0f], zstd: [0x28, 0xb5, 0x2f, 0xfd, 0, 0x68, 1, 0] };
    for (;;) {
      for (const [format, start] of Object.entries(starts)) {
        for (const stream of [new CompressionStream(format), new DecompressionStream(format)]) {
          const writer = stream.writable.getWriter();
          const reader = stream.readable.getReader();
          kept.push(stream, writer, reader, reader.read());
          await writer.write(Uint8Array.from(start));
        }
      }
    }
  },
};
