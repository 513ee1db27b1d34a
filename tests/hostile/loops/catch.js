// A loop that catches whatever ends it, and begins anew.
//
// Tries: to survive its own termination by catch and finally.
// Must: be stopped: no code of the guest runs after that.
//
// @status 503
// @limit cpu
// @stop cpu

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const again = () => {
      try {
        for (;;);
      } catch {
        again();
      } finally {
        again();
      }
    };
    again();
  },
};
