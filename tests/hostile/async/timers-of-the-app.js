// Ten thousand intervals that the app's evaluation started.
//
// Tries: to compute between requests, on nobody's account.
// Must: leave the neighbours alone; its own requests may wait or fail.
//
// @status 200, 503, 504
// @limit cpu, wall
// @limits wall = "2 s"
// @dead

for (let i = 0; i < 9000; i++) setInterval(() => {}, 0);

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    return new Response("busy");
  },
};
