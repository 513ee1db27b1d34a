// Unhandled rejections by the hundred thousand.
//
// Tries: to fill the log and what the host remembers of them.
// Must: be logged up to the limit, or be stopped.
//
// @status 200, 503
// @limit cpu, memory
// @limits cpu = "1 s"

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    for (let i = 0; i < 100_000; i++) Promise.reject(new Error("secret"));
    return new Response("rejected");
  },
};
