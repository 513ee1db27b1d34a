// Files of the checkout, as a test server would give them: `fetch` and `fetch_json` for them, and nothing else.
import { evalScript, readBytes, readText, report } from "./host.js";
import { PHASES, suite } from "./suite.js";

const { Response, URL, fetch: nativeFetch } = globalThis;

/** What each ending is sent as. */
const TYPES = {
  __proto__: null,
  css: "text/css",
  htm: "text/html;charset=utf-8",
  html: "text/html;charset=utf-8",
  idl: "text/plain",
  js: "text/javascript",
  json: "application/json",
  mjs: "text/javascript",
  png: "image/png",
  svg: "image/svg+xml",
  txt: "text/plain",
  wasm: "application/wasm",
  xml: "text/xml",
};

/** Notes that the running test, or else the file, needs something that is not here. */
export function needs(what) {
  const test = suite.current;
  if (test === null || test.phase === PHASES.COMPLETE) report({ kind: "needs", what });
  else test._needs ??= what;
}

/** The path from the root of a URL of this checkout; null for all others. */
function pathOf(url) {
  return url.origin === globalThis.location.origin ? decodeURIComponent(url.pathname).slice(1) : null;
}

/** `fetch` of a file, relative to the test's own. */
function fetchFile(input, init) {
  const url = new URL(typeof input === "object" && input !== null && "url" in input ? input.url : input, location.href);
  const path = pathOf(url);
  if (path === null) {
    if (typeof nativeFetch === "function") return nativeFetch(input, init);
    needs(`fetch of ${url.protocol} URLs`);
    throw new TypeError(`fetch: ${url.href} is not a file of this checkout`);
  }
  const isCode = /\.(?:py|asis)$/.test(path) || url.search.includes("pipe=");
  const bytes = isCode ? undefined : readBytes(path);
  if (bytes === undefined) {
    needs(isCode ? `/${path} of the tests' server` : `/${path}, which is not in this checkout`);
    return new Response("not found", { status: 404, statusText: "Not Found" });
  }
  const type = TYPES[/[^.]*$/.exec(path)[0]] ?? "application/octet-stream";
  return new Response(bytes, { status: 200, statusText: "OK", headers: { "content-type": type } });
}

export async function fetch_json(resource) {
  const response = await fetch(resource);
  return await response.json();
}

/** What the harness is, whoever asks for it again. */
const OURS = new Set(["resources/testharness.js", "resources/testharnessreport.js"]);

/** What idlharness.js goes by to tell which interfaces there are. */
function pretendWorker() {
  globalThis.DedicatedWorkerGlobalScope = class DedicatedWorkerGlobalScope {
    static [Symbol.hasInstance](object) {
      return object === globalThis;
    }
  };
}

/** Runs a script of the checkout as a classic script of the global. */
export function runScript(path) {
  if (OURS.has(path)) return;
  if (path === "resources/idlharness.js") pretendWorker();
  const source = readText(path);
  if (source === undefined) throw new Error(`/${path} is not in this checkout`);
  evalScript(source, `${location.origin}/${path}`);
}

/** As a worker has it. https://html.spec.whatwg.org/multipage/workers.html#dom-workerglobalscope-importscripts */
function importScripts(...urls) {
  const paths = urls.map((url) => pathOf(new URL(url, location.href)));
  for (const path of paths) {
    if (path === null) throw new Error("importScripts: not a file of this checkout");
    if (!OURS.has(path) && readText(path) === undefined) needs(`/${path}, which is not in this checkout`);
    runScript(path);
  }
}

globalThis.fetch = async function fetch(input, init = undefined) {
  const signal = init?.signal ?? input?.signal;
  const response = await fetchFile(input, init);
  // Also what aborts it right after the call is heard.
  signal?.throwIfAborted();
  return response;
};
globalThis.importScripts = importScripts;
