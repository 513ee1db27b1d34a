// A loop of memory.grow and memory.fill within WebAssembly.
//
// Tries: to take gigabytes while no JavaScript runs.
// Must: be stopped at the memory or the CPU limit.
//
// @status 503, 500
// @limit memory, cpu
// @limits cpu = "5 s"

// (module (memory 1) (func (export "f") (loop
//   (drop (memory.grow (i32.const 16)))
//   (memory.fill (i32.const 0) (i32.const 1) (i32.mul (memory.size) (i32.const 65536)))
//   (br 0))))
const bytes = new Uint8Array([
  0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
  1, 4, 1, 0x60, 0, 0,
  3, 2, 1, 0,
  5, 3, 1, 0, 1,
  7, 5, 1, 1, 0x66, 0, 0,
  10, 27, 1, 25, 0, 0x03, 0x40,
  0x41, 16, 0x40, 0, 0x1a,
  0x41, 0, 0x41, 1, 0x3f, 0, 0x41, 0x80, 0x80, 0x04, 0x6c, 0xfc, 0x0b, 0,
  0x0c, 0, 0x0b, 0x0b,
]);

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports.f();
    return new Response("done");
  },
};
