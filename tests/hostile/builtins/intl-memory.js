// Intl objects by the thousand, kept, with time enough.
//
// Tries: to fill native memory that V8 does not count.
// Must: be stopped at the memory or the CPU limit, while the process is still small.
//
// @status 503
// @limit cpu, memory
// @limits cpu = "2 s"

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const kept = [];
    for (let i = 0; ; i++) {
      const locale = ["en", "de", "ja", "ar", "hi", "th"][i % 6];
      kept.push(new Intl.DateTimeFormat(locale, { dateStyle: "full", timeStyle: "long" }), new Intl.Collator(locale));
    }
  },
};
