// Waiting for what does not come, with a timer that ticks.
//
// Tries: to hold a request for ever without computing.
// Must: be answered with 504 at the wall limit.
//
// @status 504
// @limit wall
// @limits wall = "2 s"

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    setInterval(() => {}, 500);
    await new Promise(() => {});
  },
};
