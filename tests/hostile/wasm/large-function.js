// A function of half a megabyte, run until V8 thinks that it is worth optimising.
//
// Tries: to have a compiler take seconds and gigabytes on a thread that all apps share.
// Must: be stopped at the CPU or the memory limit, or answer; the neighbours go on.
//
// @status 503, 500, 200
// @limit memory, cpu
// @limits cpu = "1 s"

const leb = (n) => (n < 128 ? [n] : [(n & 127) | 128, ...leb(n >>> 7)]);
// (func (param i32) (result i32) (local.set 0 (i32.mul (local.get 0) (i32.const 3))) × 60,000 (local.get 0))
const step = [0x20, 0, 0x41, 3, 0x6c, 0x41, 7, 0x73, 0x21, 0];
const body = [0];
for (let i = 0; i < 50_000; i++) body.push(...step);
body.push(0x20, 0, 0x0b);
const code = [1, ...leb(body.length)].concat(body);
const bytes = new Uint8Array([
  0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
  1, 6, 1, 0x60, 1, 0x7f, 1, 0x7f,
  3, 2, 1, 0,
  7, 5, 1, 1, 0x66, 0, 0,
  10, ...leb(code.length),
].concat(code));

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const { f } = new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports;
    let x = 1;
    for (let i = 0; i < 20_000; i++) x = f(x);
    return new Response(String(x));
  },
};
