// repeat, padEnd and join of the greatest length.
//
// Tries: to pass the heap's limit by one call.
// Must: fail with a RangeError, or be stopped at a limit.
//
// @status 503, 500
// @limit memory, cpu
// @path /repeat
// @path /padEnd
// @path /join
// @path /replaceAll

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const { pathname } = new URL(request.url);
    const kept = [];
    for (let i = 0; ; i++) {
      let text;
      if (pathname === "/repeat") text = `${i}secret`.repeat(60_000_000);
      if (pathname === "/padEnd") text = `${i}`.padEnd(2 ** 29 - 30, "secret");
      if (pathname === "/join") text = new Array(1_000_000).join("secret".repeat(100));
      if (pathname === "/replaceAll") text = "x".repeat(50_000).replaceAll("x", "secret".repeat(2000));
      kept.push(text, JSON.stringify(text));
    }
  },
};
