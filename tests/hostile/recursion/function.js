// A function that calls itself.
//
// Tries: to overflow the thread's stack.
// Must: fail with a RangeError; also when it catches that and goes on until its CPU time is up.
//
// @status 500, 503
// @limit cpu
// @path /once
// @path /caught

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const once = () => once() + 1;
    const caught = () => { try { caught(); } finally { caught(); } };
    return new Response(String(request.url.endsWith("/once") ? once() : caught()));
  },
};
