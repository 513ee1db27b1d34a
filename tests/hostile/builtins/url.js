// URLs and query strings of many megabytes.
//
// Tries: to compute and allocate in the host's URL parser.
// Must: be stopped at the CPU or the memory limit, or fail with an exception.
//
// @status 503, 500
// @limit cpu, memory

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const kept = [];
    for (;;) {
      const url = new URL(`http://${"ä".repeat(60)}.example/${"%%ä/../".repeat(2_000_000)}`);
      url.search = "a=b&".repeat(2_000_000);
      url.searchParams.sort();
      kept.push(url.href);
    }
  },
};
