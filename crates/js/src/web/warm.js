// Runs a request while the snapshot is built, so that the code of a first request is in it, compiled: a fresh isolate then
// need not compile it anew. The native functions are stand-ins and are gone afterwards.
(function (nexus) {
  "use strict";
  const { ops } = nexus;
  ops.respond = () => true;
  ops.urlOffsets = () => new Uint32Array(8);
  ops.urlParse = () => true;
  ops.requestHeaders = () => ["accept", "*/*"];
  const fetch = (request) => {
    const url = new URL(request.url);
    request.headers.get("accept");
    return new Response(url.pathname, { headers: { "content-type": "text/plain" } });
  };
  const requests = [{ fetch }, { fetch: async (request) => fetch(request) }, { fetch: () => Response.json({}) }];
  for (let i = 0; i < requests.length; i++) {
    nexus.start({ default: requests[i] }, [], [], [], false);
    nexus.dispatch(1, 0, "http://localhost/", 0);
    nexus.dispatch(1, 0, "http://localhost/", 32);
  }
  nexus.forgetApp();
  nexus.forgetOffsets();
  nexus.forgetHeaders();
  for (const name of Object.keys(ops)) delete ops[name];
})
