// Temporal durations of the greatest size, rounded and balanced.
//
// Tries: to compute in calendar code that loops over years.
// Must: be stopped at the CPU limit, or fail with an exception.
//
// @status 503, 500, 200
// @limit cpu, memory

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    if (typeof Temporal === "undefined") return new Response("no Temporal");
    const start = Temporal.PlainDateTime.from("1970-01-01T00:00").withCalendar("hebrew");
    for (;;) {
      const end = start.add({ months: 2_000_000 });
      start.until(end, { largestUnit: "months" }).round({ largestUnit: "years", relativeTo: start });
    }
  },
};
