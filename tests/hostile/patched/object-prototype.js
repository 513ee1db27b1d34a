// Getters and setters of Object.prototype for every name that options have.
//
// Tries: to compute, or to learn something, whenever an API looks for an option.
// Must: be answered, or be stopped; only this app notices.
//
// @status 200, 500, 503, 504
// @limit cpu, wall
// @path /get
// @path /set
// @path /value
// @path /then
// @dead

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const forever = () => { for (;;); };
    const { pathname } = new URL(request.url);
    const names = ["status", "headers", "body", "get", "set", "value", "writable", "signal", "type", "size", "highWaterMark",
      "start", "pull", "cancel", "fatal", "stream", "once", "detail", "cause", "method", "waitUntil", "length", 0, 1, 2];
    for (const name of pathname === "/then" ? ["then"] : names) {
      if (pathname === "/value") Object.prototype[name] = "secret";
      else Object.defineProperty(Object.prototype, name, pathname === "/set" ? { set: forever, configurable: true } : { get: forever, configurable: true });
    }
    const stream = new ReadableStream({ start(controller) { controller.enqueue(new Uint8Array(3)); controller.close(); } });
    const response = new Response(stream, { headers: { a: "b" } });
    console.log(response, new URL("http://a/?b"), new AbortController());
    return response;
  },
};
