// Strings of a quarter of a gigabyte, flattened one after the other.
//
// Tries: to pass the heap's limit by one allocation.
// Must: fail with a RangeError, or be stopped at the memory limit.
//
// @status 503, 500
// @limit memory, cpu
// @limits cpu = "2 s"

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const kept = [];
    for (let i = 0; ; i++) {
      const text = String(i) + "x".repeat(2 ** 28);
      text.charCodeAt(2 ** 27);
      kept.push(text);
    }
  },
};
