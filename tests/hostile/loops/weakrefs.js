// WeakRefs and a FinalizationRegistry by the hundred thousand, whose callback registers more.
//
// Tries: to compute in callbacks that V8 calls after a garbage collection, on nobody's account.
// Must: be stopped at the CPU or the memory limit, or be harmless.
//
// @status 503, 200
// @limit cpu, memory
// @limits cpu = "300 ms"

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const refs = [];
    const registry = new FinalizationRegistry(() => {
      for (let i = 0; i < 100; i++) registry.register({ i }, i);
      for (let i = 0; i < 1e6; i++);
    });
    for (let i = 0; i < 300_000; i++) {
      const each = { i };
      refs.push(new WeakRef(each));
      registry.register(each, i);
    }
    for (let i = 0; i < 100; i++) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      new Array(10_000).fill({});
    }
    return new Response("done");
  },
};
