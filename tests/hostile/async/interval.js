// Intervals of no milliseconds by the thousand, in a request that waits.
//
// Tries: to have turns that are too short to be measured.
// Must: be stopped at the CPU limit, or time out.
//
// @status 503, 504
// @limit cpu, wall
// @limits wall = "2 s"

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    for (let i = 0; i < 5000; i++) setInterval(() => {}, 0);
    await new Promise(() => {});
  },
};
