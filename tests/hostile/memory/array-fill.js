// An array of a hundred million doubles, in one step.
//
// Tries: to pass the heap's limit within a built-in that cannot be stopped, so that V8 ends the process.
// Must: cost the attacker its worker and nobody else anything.
//
// @status 503, 500
// @limit memory, cpu
// @limits cpu = "10 s"

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    return new Response(String(new Array(1e8).fill(1.5).length));
  },
};
