// Array.from with the greatest length that there is.
//
// Tries: to grow an array within one built-in.
// Must: be stopped at the memory or the CPU limit, or fail with an exception.
//
// @status 503, 500
// @limit memory, cpu
// @limits cpu = "10 s"

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    return new Response(String(Array.from({ length: 2 ** 32 - 1 }).length));
  },
};
