// Fifty megabytes in one chunk, compressed in all formats, again and again.
//
// Tries: to compute in the host's code without an end.
// Must: be stopped at the CPU limit.
//
// @status 503
// @limit cpu

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const bytes = new Uint8Array(50_000_000);
    for (let i = 0; i < bytes.length; i += 97) bytes[i] = i >> 7;
    for (;;) {
      for (const format of ["brotli", "gzip", "zstd", "deflate", "deflate-raw"]) {
        const stream = new CompressionStream(format);
        stream.writable.getWriter().write(bytes);
        await stream.readable.getReader().read();
      }
    }
  },
};
