// A dynamic import within the module that it imports, with top-level await on both sides.
//
// Tries: to wait for itself.
// Must: be answered with 500 or 504; the process goes on.
//
// @status 500, 504, 503, 200
// @limit wall, cpu
// @limits wall = "2 s"
// @files a#.js * 2 = await import("./b#.js"); export const name = "a#";
// @files b#.js * 2 = await import("./a#.js"); export const name = "b#";

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const modules = await Promise.all([import("./a0.js"), import("./b0.js"), import("./a1.js")]);
    return new Response(modules.map((module) => module.name).join());
  },
};
