// The host's own calls, led back to themselves: an event's listener dispatches it, a log line's getter logs.
//
// Tries: to overflow the stack with frames of the host in between.
// Must: fail with a RangeError, or be stopped; the process goes on.
//
// @status 500, 503, 200
// @limit cpu
// @path /event
// @path /log
// @path /clone
// @path /url

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const { pathname } = new URL(request.url);
    if (pathname === "/event") {
      const target = new EventTarget();
      target.addEventListener("x", () => target.dispatchEvent(new Event("x")));
      target.dispatchEvent(new Event("x"));
    } else if (pathname === "/log") {
      const trap = { get secret() { console.log(trap); console.log("%s", { toString() { console.log(trap); return ""; } }); } };
      console.log(new Proxy(trap, { get: (t, k) => { console.log("%s", trap); return t[k]; } }), { toString() { return trap.secret; } });
      const text = { toString() { console.log("%s", text); return "x"; } };
      console.log("%s", text);
    } else if (pathname === "/clone") {
      const trap = { get secret() { return structuredClone(trap); } };
      structuredClone(trap);
    } else {
      const text = { toString() { return new URL(text).href; } };
      new URL(text);
    }
    return new Response("done");
  },
};
