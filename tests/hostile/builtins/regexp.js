// A regular expression with catastrophic backtracking.
//
// Tries: to compute for years within one call of a built-in.
// Must: be stopped at the CPU limit.
//
// @status 503
// @limit cpu
// @stop cpu

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    return new Response(String(/^(a|a)*$/.test("a".repeat(40) + "b")));
  },
};
