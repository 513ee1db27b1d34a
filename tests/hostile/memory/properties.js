// Objects with a hundred thousand properties, each of another shape.
//
// Tries: to fill V8's maps and its table of names.
// Must: be stopped at the memory or the CPU limit.
//
// @status 503
// @limit memory, cpu
// @limits cpu = "5 s"

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const kept = [];
    for (let i = 0; ; i++) {
      const each = {};
      for (let j = 0; j < 500; j++) each[`name${i * 500 + j}`] = j;
      kept.push(each, Symbol.for(`symbol ${i}`));
    }
  },
};
