// Operations by the ten thousand: readers of a body that does not come.
//
// Tries: to fill what the host remembers of them.
// Must: get exceptions at the operations limit, or be stopped, or time out.
//
// @status 500, 503, 504
// @limit cpu, memory, wall
// @limits wall = "2 s"
// @limits cpu = "2 s"
// @body stalled

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const bodies = [];
    for (let i = 0; i < 20_000; i++) bodies.push(request.clone().text());
    await Promise.all(bodies);
    return new Response("read");
  },
};
