// Runs one file of the web platform tests: makes the globals that it counts on, runs its scripts, and answers the
// host's two requests: `/end` when all is done, `/timeout` when that takes too long.
import { setTitle } from "./api.js";
import { runScript } from "./files.js";
import { gc, plainStack } from "./host.js";
import { suite } from "./suite.js";

const { Response, URL, addEventListener, reportError } = globalThis;

/** The plan: see `Plan` of the host. */
export function run(plan) {
  makeGlobals(plan);
  if (typeof addEventListener === "function") listen();
  // A worker's file says itself when it is done.
  suite.waits = plan.worker;
  try {
    for (const path of plan.scripts) runScript(path);
  } catch (error) {
    raise(error);
  }
  return {
    async fetch(request) {
      if (new URL(request.url).pathname === "/timeout") {
        suite.loaded = true;
        suite.timeout();
      } else {
        suite.loaded = true;
        suite.completeIfDone();
      }
      await suite.whenFinished;
      return new Response();
    },
  };
}

function makeGlobals({ title, url }) {
  globalThis.GLOBAL = {
    isShadowRealm: () => false,
    isWindow: () => false,
    isWorker: () => true,
  };
  const { href, origin, protocol, host, hostname, port, pathname, search, hash } = new URL(url);
  const location = { href, origin, protocol, host, hostname, port, pathname, search, hash, toString: () => href };
  Object.defineProperty(globalThis, "location", { value: location, enumerable: true, configurable: true });
  Object.defineProperty(globalThis, "gc", { value: gc, writable: true, configurable: true });
  if (title !== null) globalThis.META_TITLE = title;
  const [name] = /[^/]*$/.exec(pathname);
  setTitle(title ?? name.slice(0, name.indexOf(".")));
}

/** How many errors were told through events. */
let heard = 0;

function listen() {
  addEventListener.call(globalThis, "error", (event) => {
    const { error, message } = event;
    heard++;
    const stack = plainStack(error?.stack) ?? `    at ${event.filename}:${event.lineno}:${event.colno}`;
    suite.uncaught(error, message, stack);
  });
  addEventListener.call(globalThis, "unhandledrejection", ({ reason }) => {
    const more = reason?.message ? `: ${reason.message}` : "";
    suite.uncaught(reason, `Unhandled rejection${more}`, reason?.stack);
  });
}

/** Nothing has caught this, which a script threw while it was loaded. */
function raise(error) {
  const before = heard;
  if (typeof addEventListener === "function" && typeof reportError === "function") reportError(error);
  if (heard > before) return;
  const message = `Uncaught ${typeof error === "object" ? String(error) : JSON.stringify(error)}`;
  suite.uncaught(error, message, error?.stack);
}
