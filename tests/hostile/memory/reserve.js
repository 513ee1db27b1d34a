// Resizable buffers that reserve gigabytes and never grow.
//
// Tries: to use up the sandbox's addresses, which all apps share.
// Must: fail with a RangeError, or be stopped.
//
// @status 503, 500, 200
// @limit memory, cpu

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const kept = [];
    try {
      for (let i = 0; i < 10_000; i++) kept.push(new ArrayBuffer(0, { maxByteLength: 2 ** 32 }));
    } catch (error) {
      return new Response(`${error.name} after ${kept.length}`);
    }
    return new Response("all of them");
  },
};
