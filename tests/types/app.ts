// An app in TypeScript that uses what an app finds: `tools/check_types.py` has it checked with what `nexus types` prints.
import resize from "./resize.wasm";

interface Env {
  GREETING?: string;
}

async function wasm(): Promise<Response> {
  const instance = await WebAssembly.instantiate(resize, { env: { log: console.log } });
  const { module } = await WebAssembly.instantiateStreaming(new Response(new Uint8Array(8)));
  const memory = new WebAssembly.Memory({ initial: 1 });
  const sections: ArrayBuffer[] = WebAssembly.Module.customSections(module, "name");
  return Response.json({ n: instance.exports.add(1, 2), sections: sections.length, size: memory.buffer.byteLength });
}

async function streams(): Promise<string> {
  const source = new ReadableStream<string>({
    pull(controller) {
      controller.enqueue("x");
      controller.close();
    },
  });
  const upper = source.pipeThrough(
    new TransformStream<string, string>({ transform: (chunk, controller) => controller.enqueue(chunk.toUpperCase()) }),
  );
  for await (const chunk of upper) console.log(chunk.length);
  const bytes = new ReadableStream({ type: "bytes", pull: (controller) => controller.byobRequest?.respond(0) });
  const { done, value } = await bytes.getReader({ mode: "byob" }).read(new Uint8Array(8));
  if (!done) console.log(value.byteLength);
  const zipped = new Blob(["a", new Uint8Array(2)]).stream().pipeThrough(new CompressionStream("gzip"));
  const text = zipped.pipeThrough(new DecompressionStream("gzip")).pipeThrough(new TextDecoderStream());
  return await new Response(text.pipeThrough(new TextEncoderStream())).text();
}

async function events(request: Request): Promise<void> {
  const signal = AbortSignal.any([AbortSignal.timeout(10), request.signal]);
  signal.addEventListener("abort", function (event) {
    console.log(this.reason, event.type);
  });
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = (event) => console.log(event.data);
  port2.postMessage({ a: 1 }, { transfer: [new ArrayBuffer(8)] });
  addEventListener("unhandledrejection", (event) => event.preventDefault());
  self.onerror = (message) => console.log(message);
  new EventTarget().dispatchEvent(new CustomEvent<number>("x", { detail: 1 }));
  performance.measure("m", performance.mark("a").name);
  const one: number = await scheduler.postTask(() => 1, { priority: "background" });
  clearTimeout(setTimeout((n: number, text: string) => console.log(n, text), 10, one, "x"));
}

export default {
  async fetch(request, env, ctx) {
    const { pathname, searchParams } = new URL(request.url);
    ctx.waitUntil(events(request));
    const address: string | null = ctx.client.address;
    const user: string | undefined = ctx.params["id"];
    console.log(pathname, address, user, ctx.requestId, navigator.userAgent);
    console.table([{ a: 1 }], ["a"]);
    if (pathname === "/wasm") return wasm();
    for (const [name, value] of request.headers) console.log(name, value);
    for (const key of searchParams.keys()) console.log(key);
    for (const [name, value] of await request.formData()) if (value instanceof File) console.log(name, value.name);
    const found: string | undefined = new URLPattern({ pathname: "/:id" }).exec(request.url)?.pathname.groups["id"];
    const clone: Map<number, string | undefined> = structuredClone(new Map([[1, found]]));
    const bytes: Uint8Array<ArrayBuffer> = new TextEncoder().encode(btoa("x") + atob("eA==") + clone.size);
    try {
      throw new DOMException("m", "AbortError");
    } catch (error) {
      if (error instanceof DOMException) console.error(error.name, error.code, error.stack, error instanceof Error);
    }
    const fetched: Response = await fetch(new URL("https://localhost/"), { method: "POST", body: bytes, redirect: "manual", signal: AbortSignal.timeout(5) });
    const server = new EventSource(fetched.url);
    server.onmessage = ({ data, lastEventId }) => console.log(data, lastEventId);
    URL.revokeObjectURL(URL.createObjectURL(new Blob([bytes])));
    return new Response(bytes, { status: 200, headers: { a: env.GREETING ?? "b", c: await streams() } }).clone();
  },
} satisfies ExportedHandler<Env>;

const pair = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign", "verify"]);
const signature: ArrayBuffer = await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, pair.privateKey, new Uint8Array(1));
const exported: JsonWebKey = await crypto.subtle.exportKey("jwk", pair.publicKey);
console.log(crypto.randomUUID(), crypto.getRandomValues(new Uint32Array(1)), signature.byteLength, exported.crv);

export async function kept({ CACHE }: { CACHE: KVNamespace }) {
  await CACHE.put("a", new Uint8Array(1), { expirationTtl: 60, metadata: { by: "me" } });
  const text: string | null = await CACHE.get("a");
  const json: { n: number } | null = await CACHE.get<{ n: number }>("a", "json");
  const bytes: ArrayBuffer | null = await CACHE.get("a", { type: "arrayBuffer" });
  const all: Map<string, string | null> = await CACHE.get(["a", "b"]);
  const { value, metadata, version } = await CACHE.getWithMetadata<{ by: string }>("a");
  const { keys, list_complete, cursor } = await CACHE.list({ prefix: "a", limit: 10 });
  const result = await CACHE.atomic().check({ key: "a", version }).put("a", "b").delete("c").commit();
  return [text, json?.n, bytes?.byteLength, all.size, value, metadata?.by, keys[0]?.name, list_complete, cursor, result.ok && result.version];
}

interface Visit {
  path: string;
  count: number;
}

export async function counted({ DB, OTHER, TOKEN }: { DB: Database; OTHER: Fetcher; TOKEN: string }) {
  const { count }: { count: number } = await DB.exec("CREATE TABLE visits (path TEXT, count INTEGER)");
  const insert = DB.prepare("INSERT INTO visits VALUES (?, ?)");
  const [first] = await DB.batch([insert.bind("/", 1n), insert.bind(new Uint8Array(2), null)]);
  const { results, meta } = await DB.prepare("SELECT * FROM visits").all<Visit>();
  const one = await DB.prepare("SELECT count FROM visits").first<number>("count");
  const rows = await DB.prepare("SELECT path FROM visits").raw<[string]>({ columnNames: true });
  const response: Response = await OTHER.fetch("http://other/", { headers: { authorization: TOKEN } });
  return [count, first?.meta.changes, results[0]?.path.length, meta.rows_read, (one ?? 0) + 1, rows[0]?.[0], response.ok];
}

export const nightly: ScheduledHandler = {
  async scheduled(controller, env, ctx) {
    console.log(new Date(controller.scheduledTime), controller.cron.length, env["NAME"]);
    ctx.waitUntil(Promise.resolve());
  },
};
