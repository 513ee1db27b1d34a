// What a request gave to waitUntil fills the heap after its response.
//
// Tries: to be out of reach, for the client has its answer.
// Must: be stopped at the memory limit.
//
// @status 200
// @limits cpu = "10 s"
// @stop memory

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    ctx.waitUntil((async () => {
      await new Promise((resolve) => setTimeout(resolve, 10));
      const kept = [];
      for (;;) kept.push(new Array(1000).fill(kept.length + 0.5));
    })());
    return new Response("thanks");
  },
};
