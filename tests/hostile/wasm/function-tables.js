// Tables of functions, which lie partly outside the heap.
//
// Tries: to take memory that no account shows.
// Must: fail with a RangeError, or be stopped at the memory or the CPU limit.
//
// @status 503, 500
// @limit memory, cpu
// @limits cpu = "10 s"

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const kept = [];
    for (;;) kept.push(new WebAssembly.Table({ element: "anyfunc", initial: 10_000_000 }));
  },
};
