// Objects with a hundred thousand parts, texts of a hundred megabytes, arrays of a hundred million.
//
// Tries: to have the console format them.
// Must: write what it writes of such things, or be stopped.
//
// @status 200, 500, 503
// @limit cpu, memory
// @limits cpu = "500 ms"
// @path /object
// @path /text
// @path /array
// @path /nested
// @path /table

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const { pathname } = new URL(request.url);
    if (pathname === "/object") console.log(Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`key${i}`, { i }])));
    if (pathname === "/text") console.log("x".repeat(100_000_000), ["y".repeat(100_000_000)]);
    if (pathname === "/array") console.log(new Uint8Array(50_000_000), new Array(50_000_000));
    if (pathname === "/nested") { let deep = {}; for (let i = 0; i < 100_000; i++) deep = { deep, [`key${i}`]: deep }; console.dir(deep, { depth: Infinity }); }
    if (pathname === "/table") console.table(Array.from({ length: 10_000 }, (_, i) => ({ i, [`key${i}`]: i })));
    return new Response("logged");
  },
};
