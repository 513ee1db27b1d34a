// Array.prototype[Symbol.iterator] and the iterators' next, patched to loop.
//
// Tries: to compute in the Web APIs' own loops.
// Must: be answered, or be stopped; only this app notices.
//
// @status 200, 500, 503
// @limit cpu
// @path /iterator
// @path /next
// @path /push
// @dead

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const forever = () => { for (;;); };
    const { pathname } = new URL(request.url);
    if (pathname === "/iterator") Array.prototype[Symbol.iterator] = forever;
    if (pathname === "/next") Object.getPrototypeOf([][Symbol.iterator]()).next = forever;
    if (pathname === "/push") Array.prototype.push = Array.prototype.map = Array.prototype.join = forever;
    const headers = new Headers([["a", "b"]].concat([["c", "d"]]));
    headers.append("e", "f");
    for (const [name] of headers) headers.get(name);
    console.log(new URLSearchParams("a=b&c=d"), headers);
    return new Response("patched", { headers });
  },
};
