// The same with the usual CPU limit.
//
// Tries: to fill memory faster than a limit on CPU time is noticed.
// Must: be stopped at one of the limits, or fail with an exception.
//
// @status 503, 500
// @limit memory, cpu

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    return new Response(String(Array.from({ length: 2 ** 32 - 1 }, (_, i) => ({ i })).length));
  },
};
