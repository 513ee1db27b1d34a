// Asks nginx in all the ways that `python3 tools/check_nginx.py` looks at. Each answer is JSON.
const ways = {
  // The protocol that nginx says it was asked by, and its number of the connection.
  async protocols(env) {
    const asked = async (url) => (await (await fetch(url)).text()).trim().split(" ");
    const plain = [await asked(`${env.PLAIN}/protocol`), await asked(`${env.PLAIN}/protocol`)];
    const secure = [await asked(`${env.SECURE}/protocol`), await asked(`${env.SECURE}/protocol`)];
    return [plain, secure].map(([one, two]) => [one[0], one[1] === two[1]]);
  },
  // Streams of one connection.
  async parallel(env) {
    const all = await Promise.all(Array.from({ length: 40 }, async () => (await fetch(`${env.SECURE}/protocol`)).text()));
    return new Set(all.map((text) => text.trim().split(" ")[1])).size;
  },
  async compressed(env) {
    const response = await fetch(`${env.SECURE}/text.txt`);
    return [response.headers.get("content-encoding"), response.headers.get("vary"), (await response.text()).length];
  },
  async large(env) {
    const lengths = [];
    for (const origin of [env.PLAIN, env.SECURE]) {
      let length = 0;
      for await (const chunk of (await fetch(`${origin}/large.bin`)).body) length += chunk.length;
      lengths.push(length);
    }
    return lengths;
  },
  async range(env) {
    const response = await fetch(`${env.SECURE}/text.txt`, { headers: { range: "bytes=0-4" } });
    return [response.status, response.headers.get("content-range"), await response.text()];
  },
  // nginx answers before it has the body, and reads no more of it.
  async refused(env) {
    const statuses = [];
    for (const origin of [env.PLAIN, env.SECURE]) {
      const response = await fetch(`${origin}/upload`, { method: "POST", body: new Uint8Array(8 << 20) });
      statuses.push(response.status);
      await response.text();
    }
    return statuses;
  },
  async uploaded(env) {
    const pull = (controller) => (sent++ < 320 ? controller.enqueue(new Uint8Array(65536)) : controller.close());
    let sent = 0;
    const body = new ReadableStream({ pull }, { highWaterMark: 0 });
    const response = await fetch(`${env.SECURE}/stored/file`, { method: "PUT", body, duplex: "half" });
    const headers = { "accept-encoding": "identity" };
    const back = await fetch(`${env.PLAIN}/stored/file`, { method: "HEAD", headers });
    return [response.status, Number(back.headers.get("content-length"))];
  },
  // nginx closes a connection that is idle for a second.
  async idle(env) {
    const statuses = [];
    for (let i = 0; i < 3; i++) {
      for (const origin of [env.PLAIN, env.SECURE]) statuses.push((await fetch(`${origin}/protocol`)).status);
      await new Promise((resolve) => setTimeout(resolve, 1500));
    }
    return statuses;
  },
  closed: (env) => failing([`${env.PLAIN}/closed`, `${env.SECURE}/closed`]),
  circle: (env) => failing([`${env.PLAIN}/circle`, `${env.SECURE}/circle`]),
  certificates: (env) => failing([env.WRONG_NAME, env.EXPIRED, env.STRANGER]),
  mismatched: (env) => failing([env.PLAIN.replace("http:", "https:"), env.SECURE.replace("https:", "http:")]),
};

// What each of these URLs fails with, or the status that it has after all.
async function failing(urls) {
  const told = [];
  for (const url of urls) {
    try {
      told.push((await fetch(url)).status);
    } catch (error) {
      told.push([error.name, error.cause?.code ?? null, error.message]);
    }
  }
  return told;
}

export default {
  async fetch(request, env) {
    const way = new URL(request.url).pathname.slice(1);
    // nginx's own response, as it comes.
    if (way === "pass") return fetch(`${env.SECURE}/large.bin`);
    return Response.json(way in ways ? await ways[way](env) : "ready");
  },
};
