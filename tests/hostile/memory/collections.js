// Maps and Sets that grow until they cannot.
//
// Tries: to have their tables double beyond the limit.
// Must: fail with a RangeError, or be stopped at the memory limit.
//
// @status 503, 500
// @limit memory, cpu
// @limits cpu = "10 s"

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const map = new Map();
    const set = new Set();
    for (let i = 0; ; i++) {
      map.set(i, i + 0.5);
      set.add(`key ${i}`);
    }
  },
};
