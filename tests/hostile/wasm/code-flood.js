// Modules without an end, each of another code, all kept and run.
//
// Tries: to fill the space for compiled code, which all apps of the process share.
// Must: fail with an exception, or be stopped at the memory or the CPU limit.
//
// @status 503, 500
// @limit memory, cpu
// @limits cpu = "5 s"

const leb = (n) => (n < 128 ? [n] : [(n & 127) | 128, ...leb(n >>> 7)]);
const section = (id, content) => [id, ...leb(content.length), ...content];
// A module of 200 functions, each of which adds a number 100 times; `seed` makes it another one.
const code = (seed) => {
  const body = [0, 0x20, 0, ...Array.from({ length: 100 }, (_, i) => [0x41, (seed + i) & 63, 0x6a]).flat(), 0x0b];
  const bodies = Array.from({ length: 200 }, () => [...leb(body.length), ...body]).flat();
  return new Uint8Array([
    0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
    ...section(1, [1, 0x60, 1, 0x7f, 1, 0x7f]),
    ...section(3, [...leb(200), ...new Array(200).fill(0)]),
    ...section(7, [...leb(200), ...Array.from({ length: 200 }, (_, i) => [3, 0x61 + (i % 26), 0x61 + Math.floor(i / 26), 0x61, 0, ...leb(i)]).flat()]),
    ...section(0, [1, 0x78, ...leb(seed)]),
    ...section(10, [...leb(200), ...bodies]),
  ]);
};

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const kept = [];
    for (let seed = 0; ; seed++) {
      const instance = new WebAssembly.Instance(new WebAssembly.Module(code(seed)));
      for (const f of Object.values(instance.exports)) f(1);
      kept.push(instance);
    }
  },
};
