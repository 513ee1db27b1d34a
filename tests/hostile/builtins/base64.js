// A text of a hundred megabytes through btoa and atob.
//
// Tries: to compute and allocate in the host's code.
// Must: be stopped at the CPU or the memory limit, or fail with an exception.
//
// @status 503, 500
// @limit cpu, memory

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    let text = "x".repeat(100_000_000);
    for (;;) text = atob(btoa(text));
  },
};
