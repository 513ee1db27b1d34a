// The same again and again, on several connections.
//
// Tries: to use up what the process can afford of lost workers.
// Must: end in 503 each time, and in an app that still answers.
//
// @status 503, 500
// @limit memory, cpu
// @limits cpu = "10 s"
// @limits memory = "32 MB"
// @path /1
// @path /2
// @path /3
// @path /4

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    return new Response(String(new Array(1e8).fill(1.5).length));
  },
};
