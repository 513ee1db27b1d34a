// A million errors with the deepest stacks.
//
// Tries: to fill memory with captured stacks.
// Must: be stopped at the CPU or the memory limit.
//
// @status 503
// @limit cpu, memory

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    Error.stackTraceLimit = 1e9;
    const kept = [];
    const deep = (n) => { if (n === 0) { for (;;) { const e = new Error("secret"); e.stack; kept.push(e); } } deep(n - 1); };
    deep(2000);
  },
};
