// A response's stream whose cancel never ends.
//
// Tries: to compute when the client has gone.
// Must: be stopped at the CPU limit.
//
// @status 200, left
// @stop cpu

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    return new Response(new ReadableStream({
      async pull(controller) {
        await new Promise((resolve) => setTimeout(resolve, 10));
        controller.enqueue(new Uint8Array(10));
      },
      cancel() { for (;;); },
    }));
  },
};
