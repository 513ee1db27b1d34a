// Atomics.wait on a shared memory of WebAssembly.
//
// Tries: to block its thread without using CPU time.
// Must: fail with a TypeError; waitAsync may wait, and the request with it.
//
// @status 500, 504
// @limit wall
// @limits wall = "2 s"
// @path /wait
// @path /waitAsync
// @path /sab

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const { pathname } = new URL(request.url);
    if (pathname === "/sab") return new Response(String(new SharedArrayBuffer(8).byteLength));
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
    const cells = new Int32Array(memory.buffer);
    if (pathname === "/wait") return new Response(Atomics.wait(cells, 0, 0));
    return new Response(await Atomics.waitAsync(cells, 0, 0).value);
  },
};
