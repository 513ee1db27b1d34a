// An app that keeps a few kilobytes of each request.
//
// Tries: to reach the limit with a request that did nothing wrong.
// Must: answer each request: from 90 % on new ones go to a fresh worker.
//
// @status 200
// @limits memory = "64 MB"
// @limits cpu = "1 s"
// @times 9000

const kept = [];

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    kept.push(new Array(1_100).fill(kept.length + 0.5));
    return new Response("kept");
  },
};
