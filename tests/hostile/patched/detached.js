// Buffers that are detached or shrunk while a Web API uses them.
//
// Tries: to have the host read and write memory that is gone.
// Must: be answered, or fail with an exception.
//
// @status 200, 500, 503, cut
// @limit cpu
// @path /transfer
// @path /resize
// @path /stream
// @path /clone

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const { pathname } = new URL(request.url);
    const buffer = new ArrayBuffer(1 << 20, { maxByteLength: 1 << 24 });
    const view = new Uint8Array(buffer);
    const gone = () => { if (pathname === "/resize") buffer.resize(0); else buffer.transfer(); return ""; };
    if (pathname === "/stream") {
      return new Response(new ReadableStream({ pull(controller) { controller.enqueue(view); controller.close(); gone(); } }));
    }
    if (pathname === "/clone") return new Response(String(structuredClone({ view, get secret() { return gone(); }, again: view }).again?.length));
    new TextEncoder().encodeInto({ toString() { gone(); return "secret"; } }, view);
    return new Response(view, { headers: { get a() { return gone(); } } });
  },
};
