// Three hundred requests at once that wait.
//
// Tries: to hold more requests than a worker may have.
// Must: be answered with 504 or, beyond requests, with 503; none is dropped.
//
// @status 504, 503
// @limit wall, requests, queue, queue_wait
// @limits wall = "2 s"
// @limits queue = 100
// @limits queue_wait = "1 s"
// @clients 300

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    await new Promise((resolve) => setTimeout(resolve, 60_000));
    return new Response("late");
  },
};
