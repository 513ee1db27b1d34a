// A loop that V8's optimising compiler turns into a few instructions.
//
// Tries: to run in code that has lost its check for interrupts.
// Must: be stopped at the CPU limit.
//
// @status 503
// @limit cpu
// @stop cpu

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const text = "x".repeat(100);
    let sum = 0;
    for (let i = 0; i < 1e15; i++) {
      sum = (sum + text.charCodeAt(i % 100) * Math.imul(i, 31)) | 0;
    }
    return new Response(String(sum));
  },
};
