// What every global scope has: self, queueMicrotask, reportError.
// https://html.spec.whatwg.org/multipage/webappapis.html#the-windoworworkerglobalscope-mixin
(function (nexus) {
  "use strict";
  const { required, callback, uncurryThis } = nexus.webidl;
  const then = uncurryThis(Promise.prototype.then);
  const READY = Promise.resolve();

  const { queueMicrotask, reportError } = {
    queueMicrotask(callback_) {
      required(arguments.length, 1, "queueMicrotask");
      const run = callback(callback_, "queueMicrotask: the callback");
      // A promise's reaction, for it carries the request across.
      then(READY, () => {
        try {
          run();
        } catch (error) {
          nexus.reportException(error);
        }
      });
    },
    reportError(e) {
      required(arguments.length, 1, "reportError");
      nexus.reportException(e);
    },
  };
  nexus.defineFunction("queueMicrotask", queueMicrotask);
  nexus.defineFunction("reportError", reportError);
  nexus.define("self", globalThis);
})
