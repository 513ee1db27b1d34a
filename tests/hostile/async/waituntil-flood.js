// waitUntil with a million promises, each of which gives more.
//
// Tries: to keep a request from ever being over.
// Must: be stopped, or be given up in time.
//
// @status 200, 500, 503
// @limit cpu, memory

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const more = () => { ctx.waitUntil(Promise.resolve().then(more)); };
    for (let i = 0; i < 100_000; i++) ctx.waitUntil(new Promise(() => {}));
    more();
    return new Response("thanks");
  },
};
