// Files of the checkout: scripts from there, and `fetch`, which the tests' server answers.
import { evalScript, readText, report } from "./host.js";
import { PHASES, suite } from "./suite.js";

const { Response, TypeError, URL, fetch: nativeFetch } = globalThis;
const { apply, getOwnPropertyDescriptor } = Reflect;
const { get: headersOf } = getOwnPropertyDescriptor(Response.prototype, "headers");
const { get: headerOf } = globalThis.Headers.prototype;
const { then } = Promise.prototype;

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

/** The server says in a field of its response what it does not have. */
function answered(response) {
  const what = apply(headerOf, apply(headersOf, response, []), ["nexus-needs"]);
  if (what !== null) needs(what);
}

function failed(error) {
  if (error instanceof TypeError && error.cause?.code === "EPERM") needs("a server other than the tests' own");
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

/** The guest's own `fetch`, watched for what is not here. */
const { fetch } = {
  fetch(input, init = undefined) {
    const promise = apply(nativeFetch, this, arguments);
    apply(then, promise, [answered, failed]);
    return promise;
  },
};
globalThis.fetch = fetch;
globalThis.importScripts = importScripts;
