// Short turns without an end while the app is evaluated.
//
// Tries: to stay below any limit on a single turn.
// Must: not be served, for its startup limit.
//
// @refused startup
// @limits startup = "100 ms"

for (;;) {
  await new Promise((resolve) => setTimeout(resolve, 1));
  const until = performance.now() + 5;
  while (performance.now() < until);
}

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    return new Response("never");
  },
};
