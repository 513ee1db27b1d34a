// Dates written and read without an end.
//
// Tries: to compute in the date code of V8 and ICU.
// Must: be stopped at the CPU limit.
//
// @status 503
// @limit cpu, memory

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    let sum = 0;
    for (let i = 0; ; i++) {
      const date = new Date(i * 86_400_000);
      sum += Date.parse(date.toString()) + date.toLocaleString("th-u-ca-buddhist").length;
    }
  },
};
