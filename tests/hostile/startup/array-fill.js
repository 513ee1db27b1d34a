// An array of a hundred million doubles while the app is evaluated.
//
// Tries: to have V8 end the process at its start.
// Must: not be served; the host is up meanwhile, whatever becomes of that thread.
//
// @refused not served
// @limits startup = "20 s"

new Array(1e8).fill(1.5);

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    return new Response("never");
  },
};
