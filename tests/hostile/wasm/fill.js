// One memory.fill over a gigabyte, again and again.
//
// Tries: to compute in one instruction for half a second.
// Must: fail, or be stopped at the memory or the CPU limit.
//
// @status 503, 500
// @limit memory, cpu

// (module (memory 16384) (func (export "f")
//   (memory.fill (i32.const 0) (i32.const 1) (i32.const 0x40000000))))
const bytes = new Uint8Array([
  0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
  1, 4, 1, 0x60, 0, 0,
  3, 2, 1, 0,
  5, 5, 1, 0, 0x80, 0x80, 1,
  7, 5, 1, 1, 0x66, 0, 0,
  10, 17, 1, 15, 0, 0x41, 0, 0x41, 1, 0x41, 0x80, 0x80, 0x80, 0x80, 4, 0xfc, 0x0b, 0, 0x0b,
]);

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes));
    for (;;) exports.f();
  },
};
