// Hundreds of compile() at once, of megabytes each.
//
// Tries: to occupy V8's background threads, which all apps share, on nobody's account.
// Must: be stopped, or answer; the neighbours go on.
//
// @status 503, 500, 200
// @limit memory, cpu
// @limits cpu = "500 ms"

const leb = (n) => (n < 128 ? [n] : [(n & 127) | 128, ...leb(n >>> 7)]);
const body = new Uint8Array(40_000);
body.set([...leb(39_997), 0]);
for (let i = 4; i < 39_998; i += 3) body.set([0x41, 1, 0x1a], i);
body.set([0x0b], 39_999);
const count = 20;
const codes = new Uint8Array(1 + count * body.length);
codes[0] = count;
for (let i = 0; i < count; i++) codes.set(body, 1 + i * body.length);
const bytes = new Uint8Array([
  0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
  1, 4, 1, 0x60, 0, 0,
  3, count + 1, count, ...new Array(count).fill(0),
  0, 3, 1, 0x78, 0,
  10, ...leb(codes.length),
].concat(Array.from(codes)));

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    // A custom section that differs makes each another module, so that V8's cache of modules is of no use.
    const results = await Promise.allSettled(Array.from({ length: 200 }, (_, i) => {
      const own = bytes.slice();
      own[8 + 6 + 2 + count + 1 + 4] = i;
      return WebAssembly.compile(own);
    }));
    return new Response(`${results.length} modules`);
  },
};
