// A string that is doubled until it cannot be.
//
// Tries: to make a text of half a gigabyte, and to flatten it.
// Must: fail with a RangeError, or be stopped at the memory limit.
//
// @status 503, 500
// @limit memory, cpu
// @limits cpu = "2 s"

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    let text = "secret";
    const kept = [];
    for (;;) {
      text += text;
      kept.push(text.charCodeAt(text.length >> 1));
    }
  },
};
