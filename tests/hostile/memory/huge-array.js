// One array of a gigabyte.
//
// Tries: to allocate beyond the limit in one step.
// Must: fail, or be stopped at the memory limit.
//
// @status 503, 500
// @limit memory, cpu
// @path /packed
// @path /doubling

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    if (new URL(request.url).pathname === "/packed") {
      const array = new Array(30_000_000).fill(null);
      for (;;) array.push(...array.slice(0, 60_000));
    }
    let array = [1.5, 2.5];
    for (;;) array = array.concat(array);
  },
};
