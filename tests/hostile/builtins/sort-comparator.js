// A comparator that contradicts itself, changes the array and never ends.
//
// Tries: to keep the sort from ever being done.
// Must: be stopped at the CPU limit.
//
// @status 503
// @limit cpu

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const array = Array.from({ length: 100_000 }, (_, i) => i);
    array.sort(() => {
      array.length = 0;
      for (let i = 0; i < 1000; i++) array.push(i);
      return Math.random() - 0.5;
    });
    for (;;) array.sort(() => Math.random() - 0.5);
  },
};
