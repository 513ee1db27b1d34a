// A function that calls itself while the app is evaluated.
//
// Tries: to overflow the stack.
// Must: not be served, with the RangeError.
//
// @refused RangeError

const f = () => f() + 1;
f();

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    return new Response("never");
  },
};
