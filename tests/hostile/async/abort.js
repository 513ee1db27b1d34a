// A listener of the request's signal that never ends.
//
// Tries: to compute when the client has gone.
// Must: be stopped at the CPU limit.
//
// @status 504, left
// @limit wall
// @limits wall = "1 s"
// @stop cpu

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    request.signal.addEventListener("abort", () => { for (;;); });
    await new Promise((resolve) => setTimeout(resolve, 60_000));
    return new Response("late");
  },
};
