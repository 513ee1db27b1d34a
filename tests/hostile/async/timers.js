// A million timers.
//
// Tries: to fill the host's memory, or its queue.
// Must: get an exception at the timers limit, or be stopped at the CPU limit.
//
// @status 500, 503
// @limit cpu

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    for (let i = 0; i < 1e6; i++) setTimeout(() => {}, 60_000);
    return new Response("set");
  },
};
