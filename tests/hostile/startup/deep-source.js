// A module of a million brackets.
//
// Tries: to overflow the stack in V8's parser.
// Must: not be served, with what the parser says.
//
// @refused Error
// @file deep.js = [ * 1000000

import "./deep.js";

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    return new Response("never");
  },
};
