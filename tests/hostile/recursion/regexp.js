// A regular expression with a hundred thousand groups in each other.
//
// Tries: to overflow the stack in the parser, the compiler or the matcher.
// Must: fail with a SyntaxError or RangeError, or be stopped.
//
// @status 500, 503
// @limit cpu, memory
// @path /groups
// @path /lookaheads
// @path /backtracking
// @path /classes

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const { pathname } = new URL(request.url);
    if (pathname === "/groups") return new Response(String(new RegExp("(".repeat(1e5) + ")".repeat(1e5)).test("")));
    if (pathname === "/lookaheads") return new Response(String(new RegExp("(?=".repeat(1e5) + ")".repeat(1e5)).test("")));
    if (pathname === "/classes") {
      return new Response(String(new RegExp("[".repeat(1e5) + "a" + "]".repeat(1e5), "v").test("a")));
    }
    const text = "a".repeat(20_000_000);
    for (;;) /^(?:a|b|(a))*$/.test(text);
  },
};
