// Headers with a hundred thousand fields of one name, joined at each look.
//
// Tries: to make what is quick for ten fields quadratic for many.
// Must: be stopped at the CPU or the memory limit, or fail with an exception.
//
// @status 503, 500
// @limit cpu, memory

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const headers = new Headers();
    for (let i = 0; ; i++) {
      headers.append("x-secret", "y".repeat(1000));
      headers.append(`x-${i}`, "z");
      if (i % 100 === 0) [...headers];
    }
  },
};
