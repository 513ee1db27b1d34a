// scheduler: postTask and yield, and wait as other edge runtimes have it. https://wicg.github.io/scheduling-apis/
//
// Each task is a timer of its request, with the priority that the event loop then goes by.
(function (nexus) {
  "use strict";
  const { required, callback, dictionary, domString, integer, finishInterface, illegalConstructor } = nexus.webidl;
  const { capability, rejected } = nexus.builtins;
  const KEY = { __proto__: null };
  // What the event loop knows priorities by.
  const PRIORITIES = { __proto__: null, "user-blocking": 0, "user-visible": 2, background: 3 };
  const CONTINUATION = 1;

  const signalOf = (options, what) => {
    const { signal } = options;
    if (signal !== undefined && !nexus.isAbortSignal(signal)) {
      throw new TypeError(`${what}: the signal is not an AbortSignal`);
    }
    return signal;
  };
  /** A promise for what `run` gives, after a time, unless the signal aborts before. */
  const later = (run, delay, priority, signal) => {
    if (signal !== undefined && nexus.isAborted(signal)) return rejected(nexus.abortReason(signal));
    const { promise, resolve, reject } = capability();
    let timer = 0;
    const abort = () => {
      nexus.clearTimeoutInternal(timer);
      reject(nexus.abortReason(signal));
    };
    timer = nexus.setTimeoutInternal(
      () => {
        if (signal !== undefined) nexus.removeAbortAlgorithm(signal, abort);
        try {
          resolve(run());
        } catch (error) {
          reject(error);
        }
      },
      delay,
      priority,
    );
    if (signal !== undefined) nexus.addAbortAlgorithm(signal, abort);
    return promise;
  };
  const nothing = () => undefined;

  class Scheduler {
    #brand;
    constructor() {
      if (arguments[0] !== KEY) throw illegalConstructor();
    }
    postTask(callback_, options = undefined) {
      try {
        this.#brand;
        const what = "Scheduler.postTask";
        required(arguments.length, 1, what);
        const run = callback(callback_, `${what}: the callback`);
        const given = dictionary(options, what);
        const { delay } = given;
        const wait = delay === undefined ? 0 : integer(delay, 64, false, `${what}: delay`, true);
        let { priority } = given;
        if (priority !== undefined) {
          priority = domString(priority);
          if (PRIORITIES[priority] === undefined) throw new TypeError(`${what}: '${priority}' is not a priority`);
        }
        return later(() => run(), wait, PRIORITIES[priority ?? "user-visible"], signalOf(given, what));
      } catch (error) {
        return rejected(error);
      }
    }
    yield() {
      try {
        this.#brand;
        return later(nothing, 0, CONTINUATION, undefined);
      } catch (error) {
        return rejected(error);
      }
    }
    /** Resolves after `delay` milliseconds, unless `signal` aborts before. */
    wait(delay, options = undefined) {
      try {
        this.#brand;
        const what = "Scheduler.wait";
        required(arguments.length, 1, what);
        const wait = integer(delay, 64, false, `${what}: delay`, true);
        return later(nothing, wait, PRIORITIES["user-visible"], signalOf(dictionary(options, what), what));
      } catch (error) {
        return rejected(error);
      }
    }
  }
  finishInterface(Scheduler);
  nexus.scheduler = new Scheduler(KEY);
})
