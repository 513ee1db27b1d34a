// A chain of a thousand static imports.
//
// Tries: to overflow the stack when they are linked and evaluated.
// Must: be served, or say why not within its startup limit.
//
// @status 200, 503
// @limit startup
// @limits startup = "10 s"
// @limits cpu = "10 s"
// @files part-#.js * 1000 = import "./index.js"; export const number = #;
// @files also-#.js * 1000 = export * from "./part-#.js"; import "./index.js";

import { number } from "./also-7.js";

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const names = await Promise.all(Array.from({ length: 100 }, (_, i) => import(`./also-${i}.js`)));
    return new Response(String(names.length + number));
  },
};
