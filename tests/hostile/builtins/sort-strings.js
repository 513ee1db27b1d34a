// An array of a million strings, sorted with a collator.
//
// Tries: to compute in ICU, which knows of no limit.
// Must: be stopped at the CPU limit.
//
// @status 503
// @limit cpu, memory

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const words = Array.from({ length: 1_000_000 }, (_, i) => `wörd ${(i * 7919) % 1_000_003}`);
    words.sort(new Intl.Collator("de", { numeric: true }).compare);
    return new Response(words[0]);
  },
};
