// A WebAssembly function that calls itself.
//
// Tries: to overflow the thread's stack from WebAssembly.
// Must: fail with a RangeError.
//
// @status 500, 503
// @limit cpu

// (module (func (export "f") (call 0)))
const bytes = new Uint8Array([
  0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
  1, 4, 1, 0x60, 0, 0,
  3, 2, 1, 0,
  7, 5, 1, 1, 0x66, 0, 0,
  10, 6, 1, 4, 0, 0x10, 0, 0x0b,
]);

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports.f();
    return new Response("done");
  },
};
