// Errors whose causes lead in a circle, and a chain of a hundred thousand.
//
// Tries: to have the host write without an end.
// Must: fail with 500, or be stopped; the line of the log has its end.
//
// @status 500, 503
// @limit cpu, memory
// @path /circle
// @path /chain
// @path /aggregate

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const { pathname } = new URL(request.url);
    let error = new Error("secret");
    if (pathname === "/circle") error.cause = new Error("secret", { cause: error });
    if (pathname === "/chain") for (let i = 0; i < 100_000; i++) error = new Error("secret", { cause: error });
    if (pathname === "/aggregate") for (let i = 0; i < 60; i++) error = new AggregateError([error, error], "secret");
    throw error;
  },
};
