// Twenty clients at once, while a built-in never comes back.
//
// Tries: to leave clients without an answer: those that the guest has begun, and those that nobody has read.
// Must: answer all of them: once the guest is given up at its CPU limit, or later by its successor; or at the wall limit
// those few that are all that a successor got, which it lets wait.
//
// @status 503, 504
// @limit cpu, wall
// @clients 20
// @stop cpu

let begun = 0;

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    if (++begun < 5) await new Promise(() => setTimeout(() => {}, 60_000));
    return new Response([].indexOf.call({ length: 2 ** 53 - 1 }, "nothing"));
  },
};
