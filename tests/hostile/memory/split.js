// A long text, split into its characters, and all its suffixes.
//
// Tries: to multiply what one text takes.
// Must: be stopped at the memory or the CPU limit.
//
// @status 503, 500
// @limit memory, cpu
// @limits cpu = "2 s"

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const text = Array.from({ length: 200_000 }, (_, i) => i).join();
    const kept = [];
    for (let i = 0; ; i++) kept.push(text.slice(i % 1000).split(","), text.split(""));
  },
};
