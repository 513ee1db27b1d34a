// A response's stream that gives a megabyte whenever it is asked.
//
// Tries: to send without an end.
// Must: go on as long as the client reads and its CPU time lasts; nothing piles up.
//
// @status 200, cut, left

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const chunk = new Uint8Array(1 << 20);
    return new Response(new ReadableStream({ pull(controller) { controller.enqueue(chunk); } }));
  },
};
