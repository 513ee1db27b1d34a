// Streams of streams: tee of tee, a thousand deep, and a body that is a body of a body.
//
// Tries: to overflow the stack when one chunk wakes them all.
// Must: answer, fail with an exception, or be stopped.
//
// @status 200, 500, 503, cut
// @limit cpu, memory

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    let stream = new ReadableStream({ pull(controller) { controller.enqueue(new Uint8Array(10)); controller.close(); } });
    for (let i = 0; i < 5_000; i++) stream = stream.tee()[0];
    return new Response(new Response(stream).body);
  },
};
