// An endless loop in a module's start function, by instantiate().
//
// Tries: to compute when V8's own background work is done, in a turn that nobody began.
// Must: be stopped at the CPU limit.
//
// @status 503
// @limit cpu
// @stop cpu

// (module (func (loop (br 0))) (start 0))
const bytes = new Uint8Array([
  0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
  1, 4, 1, 0x60, 0, 0,
  3, 2, 1, 0,
  8, 1, 0,
  10, 9, 1, 7, 0, 0x03, 0x40, 0x0c, 0, 0x0b, 0x0b,
]);

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    await WebAssembly.instantiate(bytes);
    return new Response("done");
  },
};
