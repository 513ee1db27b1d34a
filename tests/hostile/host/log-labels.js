// A million counters and timers of the console, each of another name.
//
// Tries: to fill what the console remembers.
// Must: be stopped at the CPU or the memory limit.
//
// @status 503
// @limit cpu, memory
// @limits cpu = "1 s"

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    for (let i = 0; ; i++) {
      console.time(`label ${i}`);
      console.count(`label ${i}`);
      console.group();
    }
  },
};
