// The keys of a typed array of a hundred million elements.
//
// Tries: to make as many strings within one built-in.
// Must: be stopped, whether at the memory limit, at the CPU limit or by V8's lack of memory.
//
// @status 503, 500
// @limit memory, cpu
// @limits cpu = "10 s"

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    return new Response(String(Object.keys(new Uint8Array(1e8)).length));
  },
};
