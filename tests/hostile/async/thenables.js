// Thenables that call both callbacks, again and again, and that give each other.
//
// Tries: to confuse whoever waits for the response.
// Must: be answered once, with 500 or 200, or be stopped.
//
// @status 200, 500, 503
// @limit cpu
// @path /both
// @path /each-other
// @path /late

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const { pathname } = new URL(request.url);
    if (pathname === "/both") return { then(fine, bad) { for (let i = 0; i < 1000; i++) { fine(new Response("one")); bad(new Error("secret")); } } };
    if (pathname === "/late") return { then(fine) { setTimeout(() => { fine(new Response("one")); fine(new Response("two")); }, 5); } };
    const one = { then(fine) { fine(two); } };
    const two = { then(fine) { fine(one); } };
    return one;
  },
};
