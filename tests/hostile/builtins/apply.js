// A call with fifty million arguments.
//
// Tries: to run in a built-in that copies its arguments and checks for nothing.
// Must: fail with a RangeError, or be stopped; the thread must not compete with the neighbours meanwhile.
//
// @status 503, 500
// @limit cpu, memory

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    return new Response(String(Math.max.apply(null, { length: 50_000_000 })));
  },
};
