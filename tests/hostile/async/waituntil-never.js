// waitUntil with a promise that never settles, and a timer that keeps it possible.
//
// Tries: to hold its request's memory for ever.
// Must: be answered; the rest is given up in time.
//
// @status 200
// @clients 20

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    ctx.waitUntil(new Promise(() => { setInterval(() => {}, 1000); }));
    return new Response("thanks");
  },
};
