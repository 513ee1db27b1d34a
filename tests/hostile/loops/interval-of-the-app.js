// An interval that the app's evaluation started, with a loop in it.
//
// Tries: to compute in turns that belong to no request.
// Must: be stopped again and again, and never be for free.
//
// @status 200, 503
// @limit cpu
// @stop cpu
// @dead

setInterval(() => { for (;;); }, 20);

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    await new Promise((resolve) => setTimeout(resolve, 100));
    return new Response("answered between two stops");
  },
};
