// What every runtime is asked to do, a path each. Everything but the JSON answers with a number that tells that the
// work was done.
const CHUNK = new Uint8Array(64 * 1024).fill(120);
const MEGABYTES = 100;

const words = ["lorem", "ipsum", "dolor", "sit", "amet", "consectetur", "adipiscing", "elit", "sed", "eiusmod"];
const odd = ["naïve", "Größe", "дом", "東京", "🙂"];

const text = (bytes, others) => {
  const parts = [];
  let length = 0;
  // The same in each run and runtime.
  let seed = 1;
  while (length < bytes) {
    seed = (seed * 48271) % 2147483647;
    const word = others && seed % 10 === 0 ? odd[Math.trunc(seed / 10) % odd.length] : words[seed % words.length];
    parts.push(word);
    length += word.length + 1;
  }
  return new TextEncoder().encode(parts.join(" ")).subarray(0, bytes);
};

// Made when they are asked for first, so that only who is measured with them pays for them.
const kept = {};
const once = (name, make) => (kept[name] ??= make());

const records = () => {
  const list = [];
  for (let i = 0; i < 10_000; i++) {
    list.push({
      id: i, name: `record ${i}`, active: i % 3 === 0, at: new Date(i * 1e6), tags: ["a", "b", `c${i % 17}`],
      position: { x: i / 3, y: -i }, attributes: new Map([["k", i], ["l", `${i}`]]),
    });
  }
  return list;
};

const count = async (stream) => {
  const reader = stream.getReader();
  let total = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return total;
    total += value.byteLength;
  }
};

const source = (chunks) => {
  let left = chunks;
  return new ReadableStream({
    pull(controller) {
      if (left-- > 0) controller.enqueue(CHUNK);
      else controller.close();
    },
  });
};

const tasks = {
  "/transform": () => count(source((MEGABYTES * 1024 * 1024) / CHUNK.length).pipeThrough(new TransformStream())),

  "/urls": () => {
    let total = 0;
    for (let i = 0; i < 10_000; i++) {
      const url = new URL(`https://user@host${i % 100}.example.com:8443/a/b${i}/../c?x=${i}&y=%20z#part`);
      total += url.pathname.length + url.hostname.length + url.searchParams.get("x").length;
    }
    return total;
  },

  "/headers": () => {
    let total = 0;
    for (let i = 0; i < 10_000; i++) {
      const headers = new Headers({ "Content-Type": "text/plain", "X-One": `${i}` });
      headers.append("Accept", "text/html");
      headers.append("Accept", "application/json");
      headers.set("X-Two", "two");
      headers.set("X-One", "three");
      total += headers.get("accept").length + headers.get("x-one").length;
      if (headers.has("x-two")) total++;
      headers.delete("X-Two");
      if (headers.has("x-two")) total++;
      for (const [name] of headers) total += name.length;
    }
    return total;
  },

  "/decode-ascii": () => new TextDecoder().decode(once("ascii", () => text(10_000_000, false))).length,
  "/decode-utf8": () => new TextDecoder().decode(once("utf8", () => text(10_000_000, true))).length,
  "/clone": () => structuredClone(once("records", records)).length,

  "/gzip": () => {
    const bytes = once("ascii", () => text(10_000_000, false));
    const body = new Response(bytes).body.pipeThrough(new CompressionStream("gzip"));
    return count(body);
  },
};

export async function handle(request) {
  const { pathname } = new URL(request.url);
  if (pathname === "/json") {
    const order = await request.json();
    const total = order.lines.reduce((sum, line) => sum + line.price * line.count, 0);
    return Response.json({ id: order.id, customer: order.customer.name, total, lines: order.lines.length });
  }
  const task = tasks[pathname];
  return new Response(`${task === undefined ? "ready" : await task()}\n`);
}
