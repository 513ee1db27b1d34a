// A comparator that sorts, with itself.
//
// Tries: to overflow the stack through the engine's sort.
// Must: fail with a RangeError.
//
// @status 500, 503
// @limit cpu

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const compare = () => [2, 1].sort(compare).length;
    return new Response(String(compare()));
  },
};
