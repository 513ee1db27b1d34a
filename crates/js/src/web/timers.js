// Timers. https://html.spec.whatwg.org/multipage/timers-and-user-prompts.html#timers
// setImmediate and clearImmediate are as in Node.js, but for the handle, which is a number.
(function (nexus) {
  "use strict";
  const { ops, checkGlobal } = nexus;
  const { required, long, callback } = nexus.webidl;
  const { apply } = nexus.builtins;
  // The level of the timer whose callback is running; 0 in all other tasks, microtasks among them.
  let nesting = 0;

  const start = (handler, wait, args, repeats, what) => {
    if (typeof handler !== "function") handler = compiled(handler, what);
    let level = nesting + 1;
    const fire = () => {
      nesting = level;
      if (repeats) level++;
      try {
        apply(handler, globalThis, args);
      } catch (error) {
        nesting = 0;
        nexus.reportException(error);
      }
      nesting = 0;
    };
    return ops.timerStart(fire, wait < 0 ? 0 : wait, repeats, level, false, 0);
  };
  // Code in a string: apps compile none, and hear of that at once. Web platform tests do.
  const evaluate = eval;
  const compiled = (code, what) => {
    try {
      evaluate("");
    } catch {
      throw new TypeError(`${what}: the handler is not a function: code in strings is not run`);
    }
    return () => evaluate(code);
  };
  const stop = (id) => {
    const number = long(id);
    if (number > 0) ops.timerStop(number);
  };

  const functions = {
    setTimeout(handler, delay = 0, ...args) {
      checkGlobal(this);
      required(arguments.length, 1, "setTimeout");
      if (typeof handler !== "function") handler = `${handler}`;
      return start(handler, long(delay), args, false, "setTimeout");
    },
    setInterval(handler, delay = 0, ...args) {
      checkGlobal(this);
      required(arguments.length, 1, "setInterval");
      if (typeof handler !== "function") handler = `${handler}`;
      return start(handler, long(delay), args, true, "setInterval");
    },
    clearTimeout(id = 0) {
      checkGlobal(this);
      stop(id);
    },
    clearInterval(id = 0) {
      checkGlobal(this);
      stop(id);
    },
    setImmediate(handler, ...args) {
      checkGlobal(this);
      required(arguments.length, 1, "setImmediate");
      callback(handler, "setImmediate: the callback");
      const before = nesting;
      // It has no delay that could be too short.
      nesting = 0;
      try {
        return start(handler, 0, args, false, "setImmediate");
      } finally {
        nesting = before;
      }
    },
    clearImmediate(id = 0) {
      checkGlobal(this);
      stop(id);
    },
  };
  const names = Object.keys(functions);
  for (let i = 0; i < names.length; i++) nexus.defineFunction(names[i], functions[names[i]]);

  // For internal users: no arguments, no conversions, and no number that a guest could stop. `priority` says which of
  // several that are due fires first: 0 for tasks that somebody waits for, 1 for continuations, 2 for all others, 3 for
  // those that may wait.
  nexus.setTimeoutInternal = (fire, delay, priority = 2) => ops.timerStart(fire, delay, false, 0, true, priority);
  nexus.clearTimeoutInternal = (id) => ops.timerStop(id);
})
