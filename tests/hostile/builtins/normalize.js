// A long text, normalised again and again.
//
// Tries: to compute in ICU, which grows the text besides.
// Must: be stopped at the CPU or the memory limit.
//
// @status 503
// @limit cpu, memory

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    let text = "\u1e9b\u0323\ufdfa".repeat(1_000_000);
    for (;;) text.normalize("NFKD");
  },
};
