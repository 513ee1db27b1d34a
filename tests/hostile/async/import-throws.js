// Modules that throw, loop and overflow the stack when they are imported.
//
// Tries: to have evaluation go wrong in the middle of a request.
// Must: be 500, or be stopped at the CPU limit.
//
// @status 500, 503
// @limit cpu
// @path /throw
// @path /recursion
// @path /loop
// @files throw#.js * 1 = throw new Error("secret");
// @files recursion#.js * 1 = const f = () => f() + 1; f();
// @files loop#.js * 1 = for (;;);

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    await import(`.${new URL(request.url).pathname}0.js`);
    return new Response("imported");
  },
};
