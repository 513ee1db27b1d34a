// Rejections that are handled late, again and again.
//
// Tries: to have the host's list of rejections grow and shrink in a bad order.
// Must: be answered, or be stopped at the CPU limit.
//
// @status 200, 503
// @limit cpu, memory
// @limits cpu = "1 s"

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const promises = Array.from({ length: 20_000 }, () => Promise.reject(new Error("secret")));
    for (const promise of promises.reverse()) promise.catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 1));
    return new Response("handled");
  },
};
