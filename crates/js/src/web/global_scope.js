// What every global scope has: self, queueMicrotask, reportError, attributes that are objects, and event handlers.
// https://html.spec.whatwg.org/multipage/webappapis.html#the-windoworworkerglobalscope-mixin
// https://html.spec.whatwg.org/multipage/webappapis.html#runtime-script-errors
(function (nexus) {
  "use strict";
  const { required, callback } = nexus.webidl;
  const { defineProperty, getOwnPropertyDescriptor, then } = nexus.builtins;
  const { checkGlobal } = nexus;
  const READY = Promise.resolve();

  const { queueMicrotask, reportError } = {
    queueMicrotask(callback_) {
      checkGlobal(this);
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
      checkGlobal(this);
      required(arguments.length, 1, "reportError");
      nexus.reportException(e);
    },
  };
  nexus.defineFunction("queueMicrotask", queueMicrotask);
  nexus.defineFunction("reportError", reportError);

  // Attributes of the global object, which are accessors of its own.
  const attribute = (name, read, write) => {
    const accessors = {
      get [name]() {
        checkGlobal(this);
        return read();
      },
      set [name](value) {
        checkGlobal(this);
        write(value);
      },
    };
    const { get, set } = getOwnPropertyDescriptor(accessors, name);
    const descriptor = { __proto__: null, get, set, enumerable: true, configurable: true };
    if (write === undefined) descriptor.set = undefined;
    defineProperty(globalThis, name, descriptor);
  };
  // [Replaceable]: who assigns to it has the property.
  const replaceable = (name, read) => {
    attribute(name, read, (value) => {
      defineProperty(globalThis, name, { __proto__: null, value, writable: true, enumerable: true, configurable: true });
    });
  };
  replaceable("self", () => globalThis);
  attribute("crypto", () => nexus.crypto);
  replaceable("performance", () => nexus.performance);
  replaceable("scheduler", () => nexus.scheduler);
  attribute("navigator", () => nexus.navigator);
  const events = ["error", "unhandledrejection", "rejectionhandled"];
  for (let i = 0; i < events.length; i++) {
    const type = events[i];
    attribute(`on${type}`, () => nexus.globalHandler(type), (value) => nexus.setGlobalHandler(type, value));
  }
})
