// Backtracking in replaceAll and matchAll on a long text.
//
// Tries: to have the engine itself begin anew at each position.
// Must: be stopped at the CPU limit.
//
// @status 503
// @limit cpu
// @stop cpu

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const text = "ab".repeat(200_000);
    return new Response(text.replaceAll(/(a+b?)+c|(?:(?:ab)*)*d/g, "-"));
  },
};
