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

declare module "*.wasm" {
  const module: WebAssembly.Module;
  export default module;
}
