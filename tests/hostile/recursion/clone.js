// structuredClone of what nests a million deep.
//
// Tries: to overflow the stack in V8's serialiser.
// Must: fail with an exception, or be stopped at a limit.
//
// @status 500, 503, 200
// @limit cpu, memory
// @path /array
// @path /map
// @path /error

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const { pathname } = new URL(request.url);
    let deep = [];
    for (let i = 0; i < 1_000_000; i++) {
      if (pathname === "/array") deep = [deep];
      if (pathname === "/map") deep = new Map([[deep, 1]]);
      if (pathname === "/error") deep = new Error("secret", { cause: deep });
    }
    structuredClone(deep);
    return new Response("cloned");
  },
};
