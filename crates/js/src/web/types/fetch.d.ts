
// ---- Fetch

type HeadersInit = Headers | Iterable<readonly [string, string]> | Record<string, string>;
/**
 * The fields of a request or a response.
 * @standard https://fetch.spec.whatwg.org/#headers-class
 * @differs Those of an incoming request cannot be changed. No name is forbidden, but in a request with the mode `no-cors`: `cookie` may be set, for there is no browser to protect. Of what `fetch` sends, `host` and what frames a request are left out.
 */
interface Headers {
  append(name: string, value: string): void;
  delete(name: string): void;
  get(name: string): string | null;
  getSetCookie(): string[];
  has(name: string): boolean;
  set(name: string, value: string): void;
  entries(): PairIterator<[string, string]>;
  forEach(callback: (value: string, key: string, parent: Headers) => void, thisArg?: any): void;
  keys(): PairIterator<string>;
  values(): PairIterator<string>;
  [Symbol.iterator](): PairIterator<[string, string]>;
}
declare var Headers: {
  readonly prototype: Headers;
  new (init?: HeadersInit): Headers;
};
interface PairIterator<T> extends IteratorObject<T, undefined, unknown> {
  [Symbol.iterator](): PairIterator<T>;
}

type BufferSource = ArrayBufferView | ArrayBuffer;
type BodyInit = ReadableStream | Blob | BufferSource | FormData | URLSearchParams | string;
interface Body {
  readonly body: ReadableStream<Uint8Array<ArrayBuffer>> | null;
  readonly bodyUsed: boolean;
  arrayBuffer(): Promise<ArrayBuffer>;
  blob(): Promise<Blob>;
  bytes(): Promise<Uint8Array<ArrayBuffer>>;
  formData(): Promise<FormData>;
  json(): Promise<any>;
  text(): Promise<string>;
  textStream(): ReadableStream<string>;
}
/**
 * Sends a request and gives its response.
 * @standard https://fetch.spec.whatwg.org/#fetch-method
 * @differs It reaches what `[permissions] net` asks for and the host grants; everything else is a `TypeError` that says what to add. Nobody is behind it whom a browser would protect: there is no CORS, no cookie jar and no cache, and `redirect: "manual"` gives the redirect itself. A body that is decoded loses `content-encoding` and `content-length`. `keepalive` and `priority` mean nothing. Of other schemes there are `data:` and `blob:`.
 */
declare function fetch(input: RequestInfo, init?: RequestInit): Promise<Response>;
type RequestInfo = Request | string | URL;
interface RequestInit {
  method?: string;
  headers?: HeadersInit;
  body?: BodyInit | null;
  referrer?: string;
  referrerPolicy?: "" | "no-referrer" | "no-referrer-when-downgrade" | "same-origin" | "origin" | "strict-origin" | "origin-when-cross-origin" | "strict-origin-when-cross-origin" | "unsafe-url";
  mode?: "navigate" | "same-origin" | "no-cors" | "cors";
  credentials?: "omit" | "same-origin" | "include";
  cache?: "default" | "no-store" | "reload" | "no-cache" | "force-cache" | "only-if-cached";
  redirect?: "follow" | "error" | "manual";
  integrity?: string;
  keepalive?: boolean;
  signal?: AbortSignal | null;
  duplex?: "half";
  priority?: "high" | "low" | "auto";
  window?: null;
}
/**
 * A request.
 * @standard https://fetch.spec.whatwg.org/#request-class
 * @differs URLs are absolute: there is no page that they could be relative to. `mode`, `credentials`, `cache` and what else is for browsers is checked and kept. Of `cache` the modes `no-store`, `reload` and `no-cache` send `cache-control` (the first two also `pragma`), unless the request has the field; with the mode `no-cors` a request has the method GET, HEAD or POST, the few fields that the standard lets pass, and no stream as body. `referrer` and `referrerPolicy` make the field `referer`. Beyond that they mean nothing.
 */
interface Request extends Body {
  readonly method: string;
  readonly url: string;
  readonly headers: Headers;
  readonly destination: string;
  readonly referrer: string;
  readonly referrerPolicy: string;
  readonly mode: string;
  readonly credentials: string;
  readonly cache: string;
  readonly redirect: string;
  readonly integrity: string;
  readonly keepalive: boolean;
  readonly isReloadNavigation: boolean;
  readonly isHistoryNavigation: boolean;
  readonly signal: AbortSignal;
  readonly duplex: "half";
  clone(): Request;
}
declare var Request: {
  readonly prototype: Request;
  new (input: RequestInfo, init?: RequestInit): Request;
};
interface ResponseInit {
  status?: number;
  statusText?: string;
  headers?: HeadersInit;
}
/**
 * A response.
 * @standard https://fetch.spec.whatwg.org/#response-class
 * @differs `redirect()` takes absolute URLs only: there is no page that they could be relative to. `statusText` is not sent: the client sees the usual text of the status.
 */
interface Response extends Body {
  readonly type: "basic" | "cors" | "default" | "error" | "opaque" | "opaqueredirect";
  readonly url: string;
  readonly redirected: boolean;
  readonly status: number;
  readonly ok: boolean;
  readonly statusText: string;
  readonly headers: Headers;
  clone(): Response;
}
declare var Response: {
  readonly prototype: Response;
  new (body?: BodyInit | null, init?: ResponseInit): Response;
  error(): Response;
  redirect(url: string | URL, status?: number): Response;
  json(data: any, init?: ResponseInit): Response;
};

// ---- Files

type BlobPart = BufferSource | Blob | string;
interface BlobPropertyBag {
  type?: string;
  endings?: "transparent" | "native";
}
/**
 * Bytes that do not change, with a type.
 * @standard https://w3c.github.io/FileAPI/#blob-section
 */
interface Blob {
  readonly size: number;
  readonly type: string;
  slice(start?: number, end?: number, contentType?: string): Blob;
  stream(): ReadableStream<Uint8Array<ArrayBuffer>>;
  text(): Promise<string>;
  textStream(): ReadableStream<string>;
  arrayBuffer(): Promise<ArrayBuffer>;
  bytes(): Promise<Uint8Array<ArrayBuffer>>;
}
declare var Blob: {
  readonly prototype: Blob;
  new (blobParts?: Iterable<BlobPart>, options?: BlobPropertyBag): Blob;
};
interface FilePropertyBag extends BlobPropertyBag {
  lastModified?: number;
}
/**
 * A blob with a name.
 * @standard https://w3c.github.io/FileAPI/#file-section
 */
interface File extends Blob {
  readonly name: string;
  readonly lastModified: number;
}
declare var File: {
  readonly prototype: File;
  new (fileBits: Iterable<BlobPart>, fileName: string, options?: FilePropertyBag): File;
};
interface FileReaderEventMap {
  loadstart: ProgressEvent;
  progress: ProgressEvent;
  load: ProgressEvent;
  abort: ProgressEvent;
  error: ProgressEvent;
  loadend: ProgressEvent;
}
/**
 * Reads a blob, and tells of it by events; a blob's own methods are simpler.
 * @standard https://w3c.github.io/FileAPI/#APIASynch
 */
interface FileReader extends EventTarget {
  readAsArrayBuffer(blob: Blob): void;
  readAsBinaryString(blob: Blob): void;
  readAsText(blob: Blob, encoding?: string): void;
  readAsDataURL(blob: Blob): void;
  abort(): void;
  readonly EMPTY: 0;
  readonly LOADING: 1;
  readonly DONE: 2;
  readonly readyState: number;
  readonly result: string | ArrayBuffer | null;
  readonly error: DOMException | null;
  onloadstart: ((this: FileReader, event: ProgressEvent) => any) | null;
  onprogress: ((this: FileReader, event: ProgressEvent) => any) | null;
  onload: ((this: FileReader, event: ProgressEvent) => any) | null;
  onabort: ((this: FileReader, event: ProgressEvent) => any) | null;
  onerror: ((this: FileReader, event: ProgressEvent) => any) | null;
  onloadend: ((this: FileReader, event: ProgressEvent) => any) | null;
  addEventListener<K extends keyof FileReaderEventMap>(type: K, callback: ((this: FileReader, event: FileReaderEventMap[K]) => any) | null, options?: AddEventListenerOptions | boolean): void;
  addEventListener(type: string, callback: EventListenerOrEventListenerObject | null, options?: AddEventListenerOptions | boolean): void;
}
declare var FileReader: {
  readonly prototype: FileReader;
  new (): FileReader;
  readonly EMPTY: 0;
  readonly LOADING: 1;
  readonly DONE: 2;
};
type FormDataEntryValue = File | string;
/**
 * The fields of a form.
 * @standard https://xhr.spec.whatwg.org/#interface-formdata
 * @differs The constructor takes no form: there are no documents.
 */
interface FormData {
  append(name: string, value: string): void;
  append(name: string, blobValue: Blob, filename?: string): void;
  delete(name: string): void;
  get(name: string): FormDataEntryValue | null;
  getAll(name: string): FormDataEntryValue[];
  has(name: string): boolean;
  set(name: string, value: string): void;
  set(name: string, blobValue: Blob, filename?: string): void;
  entries(): PairIterator<[string, FormDataEntryValue]>;
  forEach(callback: (value: FormDataEntryValue, key: string, parent: FormData) => void, thisArg?: any): void;
  keys(): PairIterator<string>;
  values(): PairIterator<FormDataEntryValue>;
  [Symbol.iterator](): PairIterator<[string, FormDataEntryValue]>;
}
declare var FormData: {
  readonly prototype: FormData;
  new (form?: undefined): FormData;
};
interface EventSourceEventMap {
  open: Event;
  message: MessageEvent;
  error: Event;
}
/**
 * Reads a server's events, and connects again when it is cut off.
 * @standard https://html.spec.whatwg.org/multipage/server-sent-events.html#the-eventsource-interface
 * @differs It belongs to the request that has made it, and ends with that. `withCredentials` means nothing. What is not granted fails for good.
 */
interface EventSource extends EventTarget {
  readonly url: string;
  readonly withCredentials: boolean;
  readonly CONNECTING: 0;
  readonly OPEN: 1;
  readonly CLOSED: 2;
  readonly readyState: number;
  onopen: ((this: EventSource, event: Event) => any) | null;
  onmessage: ((this: EventSource, event: MessageEvent) => any) | null;
  onerror: ((this: EventSource, event: Event) => any) | null;
  close(): void;
  addEventListener<K extends keyof EventSourceEventMap>(type: K, callback: ((this: EventSource, event: EventSourceEventMap[K]) => any) | null, options?: AddEventListenerOptions | boolean): void;
  addEventListener(type: string, callback: EventListenerOrEventListenerObject | null, options?: AddEventListenerOptions | boolean): void;
}
declare var EventSource: {
  readonly prototype: EventSource;
  new (url: string | URL, eventSourceInitDict?: EventSourceInit): EventSource;
  readonly CONNECTING: 0;
  readonly OPEN: 1;
  readonly CLOSED: 2;
};
interface EventSourceInit {
  withCredentials?: boolean;
}
