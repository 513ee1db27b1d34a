// A JSON module of a million brackets.
//
// Tries: to overflow the stack in V8's JSON parser.
// Must: not be served, with what the parser says.
//
// @refused JSON
// @file deep.json = [ * 1000000

import deep from "./deep.json" with { type: "json" };

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    return new Response(String(deep.length));
  },
};
