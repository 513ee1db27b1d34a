// Dynamic imports of a thousand modules, and of one that is not there, again and again.
//
// Tries: to fill the module map, and to have the host read files all the time.
// Must: be answered, or be stopped at the CPU or the memory limit.
//
// @status 200, 503, 500, 504
// @limit cpu, memory, wall, operations
// @files parts/part-#.js * 1000 = export const text = "part #".repeat(1000);

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    for (let i = 0; i < 1000; i++) await import(`./parts/part-${i}.js`);
    for (let i = 0; ; i++) await import(`./parts/missing-${i}.js`).catch(() => {});
  },
};
