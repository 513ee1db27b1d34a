// call, apply, bind and Symbol.hasInstance, patched.
//
// Tries: to see what the Web APIs call with which arguments.
// Must: be answered, or fail; only this app notices.
//
// @status 200, 500, 503
// @limit cpu
// @dead

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const seen = [];
    const { call } = Function.prototype;
    for (const name of ["call", "apply", "bind"]) {
      Function.prototype[name] = function (...args) { seen.push(this, args); throw new Error("secret"); };
    }
    Object.defineProperty(Function.prototype, Symbol.hasInstance, { value: () => { throw new Error("secret"); } });
    console.log(new Headers({ a: "b" }), [1, 2], { call });
    const text = await new Response(new URLSearchParams({ a: "b" })).text();
    return new Response(`${text} ${seen.length}`);
  },
};
