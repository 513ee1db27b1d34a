// Objects that share their parts, written out: the text doubles with each level.
//
// Tries: to make a text of terabytes of a few hundred bytes.
// Must: fail with an exception, or be stopped at the CPU or the memory limit.
//
// @status 503, 500
// @limit cpu, memory

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    let bomb = ["boom"];
    for (let i = 0; i < 60; i++) bomb = [bomb, bomb];
    return new Response(JSON.stringify(bomb, null, 10));
  },
};
