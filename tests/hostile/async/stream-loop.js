// A response's stream whose pull never ends.
//
// Tries: to compute after the response's head is out.
// Must: be stopped; the response breaks off.
//
// @status 200, 503, cut, closed
// @limit cpu
// @stop cpu

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    let count = 0;
    return new Response(new ReadableStream({
      async pull(controller) {
        controller.enqueue(new Uint8Array(10));
        await new Promise((resolve) => setTimeout(resolve, 10));
        if (++count > 3) for (;;);
      },
    }));
  },
};
