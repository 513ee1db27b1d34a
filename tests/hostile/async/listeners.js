// Listeners, signals and events by the hundred thousand.
//
// Tries: to make what is quick for ten quadratic for many.
// Must: be answered, or be stopped at the CPU or the memory limit.
//
// @status 200, 503
// @limit cpu, memory

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const controller = new AbortController();
    const kept = [];
    for (let i = 0; i < 200_000; i++) {
      controller.signal.addEventListener("abort", () => {});
      kept.push(AbortSignal.any([controller.signal]), AbortSignal.timeout(60_000));
    }
    controller.abort();
    return new Response("aborted");
  },
};
