// Calls that are suspended and never go on, each with a stack of its own.
//
// Tries: to take all mappings that the process may have, so that no thread can start.
// Must: be refused, and be stopped at the memory limit.
//
// @status 503
// @limit memory
// @limits cpu = "10 s"

// (module (import "m" "i" (func (result i32))) (func (export "f") (result i32) call 0))
const bytes = new Uint8Array([
  0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
  1, 5, 1, 0x60, 0, 1, 0x7f,
  2, 7, 1, 1, 0x6d, 1, 0x69, 0, 0,
  3, 2, 1, 0,
  7, 5, 1, 1, 0x66, 0, 1,
  10, 6, 1, 4, 0, 0x10, 0, 0x0b,
]);

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const forever = new WebAssembly.Suspending(() => new Promise(() => {}));
    const { instance } = await WebAssembly.instantiate(bytes, { m: { i: forever } });
    const call = WebAssembly.promising(instance.exports.f);
    for (;;) {
      for (let i = 0; i < 100; i++) call().catch(() => {});
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  },
};
