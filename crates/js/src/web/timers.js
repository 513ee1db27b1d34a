// Timers. HTML Standard, section 8.6. https://html.spec.whatwg.org/multipage/timers-and-user-prompts.html
(function (nexus) {
  "use strict";
  const { ops } = nexus;
  const { required, long, callback } = nexus.webidl;
  const { apply } = Reflect;

  const start = (given, handler, delay, args, repeat, what) => {
    required(given, 1, what);
    // A string would be compiled; that is off here, as `eval` is.
    const run = callback(handler, `${what}: the handler`);
    const wait = long(delay);
    const fire = args.length === 0 ? () => apply(run, globalThis, []) : () => apply(run, globalThis, args);
    return ops.timerStart(fire, wait < 0 ? 0 : wait, repeat);
  };
  const stop = (id) => {
    const number = long(id);
    if (number > 0) ops.timerStop(number);
  };

  const functions = {
    setTimeout(handler, delay = 0, ...args) {
      return start(arguments.length, handler, delay, args, false, "setTimeout");
    },
    setInterval(handler, delay = 0, ...args) {
      return start(arguments.length, handler, delay, args, true, "setInterval");
    },
    clearTimeout(id = 0) {
      stop(id);
    },
    clearInterval(id = 0) {
      stop(id);
    },
  };
  for (const name of Object.keys(functions)) {
    // Web IDL's operations on the global are enumerable.
    Object.defineProperty(globalThis, name, { value: functions[name], writable: true, enumerable: true, configurable: true });
  }

  // For internal users: no arguments, no conversions.
  nexus.setTimeoutInternal = (fire, delay) => ops.timerStart(fire, delay, false);
  nexus.clearTimeoutInternal = (id) => ops.timerStop(id);
})
