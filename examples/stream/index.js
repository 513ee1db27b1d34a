// A response that is sent while it is made: try `curl -N`. When the client leaves, the clock stops.
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function clock(ticks) {
  const encoder = new TextEncoder();
  let tick = 0;
  return new ReadableStream({
    async pull(controller) {
      if (tick === ticks) return controller.close();
      if (tick > 0) await sleep(100);
      controller.enqueue(encoder.encode(`data: tick ${++tick}\n\n`));
    },
    cancel() {
      console.log("the client left after tick", tick);
    },
  });
}

export default {
  fetch(request, env, ctx) {
    const { pathname, searchParams } = new URL(request.url);
    // What is sent to /echo comes back as it arrives, without entering JavaScript.
    if (pathname === "/echo") return new Response(request.body);

    const ticks = Number(searchParams.get("ticks") ?? 10);
    ctx.waitUntil(sleep(10).then(() => console.log("started a clock of", ticks, "ticks")));
    return new Response(clock(ticks), { headers: { "content-type": "text/event-stream" } });
  },
};
