// Methods on a sparse array of four billion elements.
//
// Tries: to compute in the slow paths for dictionary elements, which are C++.
// Must: be stopped at the CPU or the memory limit, or fail with an exception.
//
// @status 503, 500
// @limit cpu, memory
// @apart
// @path /includes
// @path /indexOf
// @path /lastIndexOf
// @path /join
// @path /sort
// @path /concat
// @path /shift
// @path /flat

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const sparse = [];
    sparse[2 ** 32 - 2] = 1;
    const method = new URL(request.url).pathname.slice(1);
    const result = sparse[method]("nothing", sparse);
    return new Response(String(result));
  },
};
