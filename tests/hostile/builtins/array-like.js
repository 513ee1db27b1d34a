// Array methods on an object that claims to have 2^53 - 1 elements.
//
// Tries: to compute in a built-in's own loop for years.
// Must: be stopped at the CPU limit, or fail with an exception.
//
// @status 503, 500
// @limit cpu, memory
// @apart
// @path /indexOf
// @path /lastIndexOf
// @path /includes
// @path /reverse
// @path /fill
// @path /copyWithin
// @path /join

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const method = new URL(request.url).pathname.slice(1);
    const args = { fill: [1], copyWithin: [1, 2], join: [""] }[method] ?? ["nothing"];
    const like = method === "fill" ? new Proxy({ length: 2 ** 53 - 1 }, { set: () => true }) : { length: 2 ** 53 - 1 };
    Array.prototype[method].apply(like, args);
    return new Response("done");
  },
};
