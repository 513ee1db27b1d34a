// What `nexus types` prints: all that an app finds beside ECMAScript itself, without TypeScript's own `lib.dom`.
//
//   nexus types > nexus.d.ts
//   npx tsc --noEmit --target es2024 --lib es2024 --types ./nexus.d.ts app.ts

// ---- The app

/**
 * The default export of an app's main module.
 *
 *   export default {
 *     fetch(request, env, ctx) { return new Response("Hello"); },
 *   } satisfies ExportedHandler;
 */
interface ExportedHandler<Env = Record<string, string>> {
  /** Answers a request. What it throws, or what its promise is rejected with, is a 500 and a line in the log. */
  fetch(request: Request, env: Env, ctx: ExecutionContext): Response | PromiseLike<Response>;
}

/** What a handler gets beside the request and the variables: the third argument of `fetch`. */
interface ExecutionContext {
  /** Keeps what belongs to the request until the promise has settled, also after the response; 30 s at most. */
  waitUntil(promise: unknown): void;
  /** Who asks. */
  readonly client: ClientAddress;
  /** The request's id: in the log and in the response's `x-request-id`. */
  readonly requestId: string;
  /** What the names in the path of the request's route stand for: `id` of `/users/:id`, `*` of `/files/*`. */
  readonly params: Readonly<Record<string, string | undefined>>;
}

/** A client's address; each part is null where it is not known. */
interface ClientAddress {
  readonly address: string | null;
  readonly port: number | null;
}

// ---- Bindings

/** A namespace of a key-value store: what `env` has for a binding `NAME = { kv = "…" }`. */
interface KVNamespace {
  /** The value of a key, or null. */
  get(key: string, type?: "text" | { type?: "text" }): Promise<string | null>;
  get<T = unknown>(key: string, type: "json" | { type: "json" }): Promise<T | null>;
  get(key: string, type: "arrayBuffer" | { type: "arrayBuffer" }): Promise<ArrayBuffer | null>;
  get(key: string, type: "stream" | { type: "stream" }): Promise<ReadableStream<Uint8Array> | null>;
  /** The values of up to 100 keys. */
  get(keys: string[], type?: "text" | { type?: "text" }): Promise<Map<string, string | null>>;
  get<T = unknown>(keys: string[], type: "json" | { type: "json" }): Promise<Map<string, T | null>>;
  /** The same with what was put beside it. */
  getWithMetadata<M = unknown>(key: string, type?: "text" | { type?: "text" }): Promise<KVEntry<string, M>>;
  getWithMetadata<T = unknown, M = unknown>(key: string, type: "json" | { type: "json" }): Promise<KVEntry<T, M>>;
  getWithMetadata<M = unknown>(key: string, type: "arrayBuffer" | { type: "arrayBuffer" }): Promise<KVEntry<ArrayBuffer, M>>;
  getWithMetadata<M = unknown>(key: string, type: "stream" | { type: "stream" }): Promise<KVEntry<ReadableStream<Uint8Array>, M>>;
  getWithMetadata<M = unknown>(keys: string[], type?: "text" | { type?: "text" }): Promise<Map<string, KVEntry<string, M>>>;
  getWithMetadata<T = unknown, M = unknown>(keys: string[], type: "json" | { type: "json" }): Promise<Map<string, KVEntry<T, M>>>;
  /** Gives a key a value, in place of what it has. */
  put(key: string, value: string | ArrayBuffer | ArrayBufferView | ReadableStream, options?: KVPutOptions): Promise<void>;
  /** Takes a key's value away; it is no error if it has none. */
  delete(key: string): Promise<void>;
  /** Keys in the order of their UTF-8, a page at a time. */
  list<M = unknown>(options?: { prefix?: string | null; limit?: number; cursor?: string | null }): Promise<KVPage<M>>;
  /** Several changes that are made together, if all that is checked holds. */
  atomic(): KVAtomicOperation;
}

interface KVEntry<T, M> {
  value: T | null;
  metadata: M | null;
  /** Which write made it: 16 hexadecimal digits, greater with each write. */
  version: string | null;
  cacheStatus: null;
}

interface KVPutOptions {
  /** When it is to be no more, in seconds since 1970. */
  expiration?: number;
  /** After how many seconds it is to be no more. */
  expirationTtl?: number;
  /** What JSON holds, up to 1,024 bytes. */
  metadata?: unknown;
}

interface KVPage<M> {
  keys: KVListed<M>[];
  /** Whether this is the last page. */
  list_complete: boolean;
  /** For the next page, if there is one. */
  cursor?: string;
  cacheStatus: null;
}

interface KVListed<M> {
  name: string;
  /** In seconds since 1970. */
  expiration?: number;
  metadata?: M;
}

interface KVAtomicOperation {
  /** Each key must have this version; null is that it has no value. */
  check(...checks: { key: string; version: string | null }[]): this;
  put(key: string, value: string | ArrayBuffer | ArrayBufferView, options?: KVPutOptions): this;
  delete(key: string): this;
  commit(): Promise<{ ok: true; version: string } | { ok: false }>;
}

declare module "*.wasm" {
  const module: WebAssembly.Module;
  export default module;
}
