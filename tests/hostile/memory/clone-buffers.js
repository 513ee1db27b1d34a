// structuredClone of large buffers, kept.
//
// Tries: to copy memory in the host's code.
// Must: fail with an exception, or be stopped at the memory limit.
//
// @status 503, 500
// @limit memory, cpu
// @limits cpu = "2 s"

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const kept = [new ArrayBuffer(30 << 20)];
    for (;;) kept.push(structuredClone(kept.at(-1)));
  },
};
