// Intl objects by the thousand, kept.
//
// Tries: to fill native memory that V8 does not count, and to load ICU's data.
// Must: be stopped at the CPU or the memory limit.
//
// @status 503
// @limit cpu, memory

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const kept = [];
    for (let i = 0; ; i++) {
      const locale = ["en", "de", "ja", "ar", "hi", "th"][i % 6];
      kept.push(new Intl.DateTimeFormat(locale, { dateStyle: "full", timeStyle: "long" }), new Intl.NumberFormat(locale));
    }
  },
};
