// A proxy that loops, thrown while the app is evaluated.
//
// Tries: to compute when the host writes why the app is not served.
// Must: not be served, for whichever reason.
//
// @refused not served

const forever = () => { for (;;); };
throw new Proxy({}, { get: forever, ownKeys: forever, getPrototypeOf: forever });

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    return new Response("never");
  },
};
