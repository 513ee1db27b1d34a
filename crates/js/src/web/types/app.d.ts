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
  /** Does what is due at the time of a trigger: `[triggers] cron` in the manifest. */
  scheduled?(controller: ScheduledController, env: Env, ctx: ExecutionContext): void | PromiseLike<void>;
}

/** The default export of an app that only triggers call. Requests to it are answered with 404. */
interface ScheduledHandler<Env = Record<string, string>> {
  scheduled(controller: ScheduledController, env: Env, ctx: ExecutionContext): void | PromiseLike<void>;
}

/** The time of a trigger: the first argument of `scheduled`. */
interface ScheduledController {
  /** The trigger, as the manifest has it. */
  readonly cron: string;
  /** The time that it was due at, in milliseconds since 1970. */
  readonly scheduledTime: number;
  readonly type: "scheduled";
  /** Does nothing: runs that fail are never repeated. */
  noRetry(): void;
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

/** A database: what `env` has for a binding `NAME = { sql = "…" }`. */
interface Database {
  /** A statement, to be run later, and as often as wanted. */
  prepare(query: string): PreparedStatement;
  /** Runs statements in order, in one transaction: all of them, or none. */
  batch<T = Record<string, SqlValue>>(statements: PreparedStatement[]): Promise<SqlResult<T>[]>;
  /** Runs the statements of a text, in one transaction; nothing can be bound. */
  exec(query: string): Promise<{ count: number; duration: number }>;
}

interface PreparedStatement {
  /** The same statement with what `?`, `?1` and so on are. */
  bind(...values: (SqlValue | boolean | bigint | ArrayBuffer | ArrayBufferView)[]): PreparedStatement;
  /** The first row, or null; with a column's name its value in that row. */
  first<T = SqlValue>(column: string): Promise<T | null>;
  first<T = Record<string, SqlValue>>(): Promise<T | null>;
  /** All rows, as objects, and what the statement has done. */
  all<T = Record<string, SqlValue>>(): Promise<SqlResult<T>>;
  /** The same. */
  run<T = Record<string, SqlValue>>(): Promise<SqlResult<T>>;
  /** All rows, as arrays; before them, if asked for, the names of the columns. */
  raw<T = SqlValue[]>(options?: { columnNames?: boolean }): Promise<T[]>;
}

interface SqlResult<T> {
  results: T[];
  success: true;
  meta: SqlMeta;
}

interface SqlMeta {
  served_by: string;
  /** In milliseconds. */
  duration: number;
  /** How many rows were inserted, changed or deleted. */
  changes: number;
  last_row_id: number;
  changed_db: boolean;
  /** The database's size after it, in bytes. */
  size_after: number;
  rows_read: number;
  rows_written: number;
}

/** A value of SQLite's; bytes are an array of numbers. */
type SqlValue = null | number | string | number[];

/** Another app: what `env` has for a binding `NAME = { app = "…" }`. */
interface Fetcher {
  /** Has the app answer a request. Of its URL the app gets all, and nothing of it says who answers. */
  fetch(input: Request | string | URL, init?: RequestInit): Promise<Response>;
}

declare module "*.wasm" {
  const module: WebAssembly.Module;
  export default module;
}
