// An exception with a long story.
//
// Tries: nothing: a client looks for what it may learn.
// Must: be 500 with one line that says nothing of the app.
//
// @status 500
// @path /throw
// @path /reject
// @path /undefined
// @path /stream

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const { pathname } = new URL(request.url);
    if (pathname === "/undefined") return "secret";
    if (pathname === "/stream") return new Response({}.secret.more);
    if (pathname === "/reject") return Promise.reject(new TypeError("secret", { cause: new Error("secret") }));
    function secretFunction() { throw new RangeError("secret"); }
    secretFunction();
  },
};
