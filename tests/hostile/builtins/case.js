// A text of a hundred megabytes in upper and lower case.
//
// Tries: to compute in ICU for a second at a time.
// Must: be stopped at the CPU or the memory limit.
//
// @status 503
// @limit cpu, memory

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const text = "straße".repeat(10_000_000);
    for (;;) text.toUpperCase().toLowerCase();
  },
};
