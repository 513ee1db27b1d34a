// Megabytes of JSON, parsed again and again.
//
// Tries: to compute and allocate in V8's parser.
// Must: be stopped at the CPU or the memory limit.
//
// @status 503
// @limit cpu, memory

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const text = `[${'{"a":[1,2,{"b":"c"}]},'.repeat(100_000)}0]`;
    const kept = [];
    for (;;) kept.push(JSON.parse(text));
  },
};
