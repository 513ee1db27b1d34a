// Header fields and status texts with line breaks, by way of patched built-ins.
//
// Tries: to write a second response onto the wire.
// Must: fail with 500, or be sent as one response without them.
//
// @status 500, 200
// @dead
// @path /value
// @path /name
// @path /length

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const { pathname } = new URL(request.url);
    const bad = "x\r\n\r\nHTTP/1.1 200 secret";
    RegExp.prototype.test = () => true;
    RegExp.prototype.exec = () => null;
    String.prototype.replace = () => bad;
    String.prototype.charCodeAt = () => 97;
    const headers = new Headers();
    if (pathname === "/value") headers.set("x", bad);
    if (pathname === "/name") headers.set(bad, "x");
    if (pathname === "/length") headers.set("content-length", "1000000");
    return new Response("x", { headers, statusText: "fine" });
  },
};
