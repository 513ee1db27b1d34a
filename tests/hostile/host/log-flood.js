// A hundred megabytes of log.
//
// Tries: to fill the disk, and to drown everybody else's lines.
// Must: be cut at the log limit with a line that says so, or be stopped at the CPU limit.
//
// @status 200, 503
// @limit cpu
// @limits cpu = "5 s"
// @logged logged as much as it may

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const line = "secret".repeat(170);
    for (let i = 0; i < 100_000; i++) console.log(line);
    return new Response("logged");
  },
};
