// A text of a hundred megabytes, encoded and decoded.
//
// Tries: to compute and allocate in the host's code.
// Must: be stopped at the CPU or the memory limit.
//
// @status 503, 500
// @limit cpu, memory

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const text = "\u20ac".repeat(50_000_000);
    const kept = [];
    for (;;) {
      const bytes = new TextEncoder().encode(text);
      kept.push(bytes, new TextDecoder().decode(bytes), new TextDecoder("gb18030").decode(bytes));
    }
  },
};
