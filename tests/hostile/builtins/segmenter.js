// A text of millions of characters, cut into words.
//
// Tries: to compute in ICU's break iterators.
// Must: be stopped at the CPU or the memory limit.
//
// @status 503
// @limit cpu, memory

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const segmenter = new Intl.Segmenter("th", { granularity: "word" });
    const text = "ภาษาไทยไม่มีช่องว่าง".repeat(200_000);
    let count = 0;
    for (;;) for (const part of segmenter.segment(text)) count += part.segment.length;
  },
};
