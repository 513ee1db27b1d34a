// Errors with long stacks, formatted by the app's own Error.prepareStackTrace.
//
// Tries: to compute when somebody reads a stack, the host that logs it included.
// Must: be stopped at the CPU limit.
//
// @status 503, 500
// @limit cpu
// @stop cpu

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    Error.stackTraceLimit = Infinity;
    Error.prepareStackTrace = () => { for (;;); };
    const deep = (n) => { if (n === 0) throw new Error("secret"); deep(n - 1); };
    deep(1000);
  },
};
