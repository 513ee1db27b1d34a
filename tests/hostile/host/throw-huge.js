// Exceptions whose message is a hundred megabytes.
//
// Tries: to have the host copy it into the log.
// Must: fail with 500, or be stopped; the line of the log is cut.
//
// @status 500, 503
// @limit cpu, memory
// @path /message
// @path /text

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const text = "secret".repeat(15_000_000);
    if (request.url.endsWith("/message")) throw new Error(text);
    throw text;
  },
};
