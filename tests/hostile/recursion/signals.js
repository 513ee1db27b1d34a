// AbortSignals of AbortSignals, a hundred thousand deep.
//
// Tries: to overflow the stack when the first aborts.
// Must: answer, fail with an exception, or be stopped.
//
// @status 200, 500, 503
// @limit cpu, memory

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const controller = new AbortController();
    let signal = controller.signal;
    for (let i = 0; i < 100_000; i++) {
      const next = new AbortController();
      signal.addEventListener("abort", () => next.abort());
      signal = i % 2 ? next.signal : AbortSignal.any([next.signal]);
    }
    controller.abort();
    return new Response(String(signal.aborted));
  },
};
