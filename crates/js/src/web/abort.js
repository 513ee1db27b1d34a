// AbortController and AbortSignal. https://dom.spec.whatwg.org/#aborting-ongoing-activities
(function (nexus) {
  "use strict";
  const { required, integer, sequence, finishInterface, illegalConstructor, SafeMap, SafeSet } = nexus.webidl;
  const { EventTarget, DOMException } = nexus;
  const { deref, WeakRef: Weak } = nexus.builtins;
  const KEY = { __proto__: null };

  let isSignal, make, runAbortSteps;
  class AbortSignal extends EventTarget {
    // What most signals never have stays null: each request may make one.
    #aborted = false;
    #reason = undefined;
    #algorithms = null;
    #dependent = false;
    // A dependent signal's sources (strong: they are what can still abort it), and a source's dependents:
    // weak ones, and, as long as they have a listener or an algorithm, strong ones.
    #sources = null;
    #dependents = null;
    #pinned = null;
    static {
      isSignal = (value) => typeof value === "object" && value !== null && #aborted in value;
      make = () => new AbortSignal(KEY);
      nexus.isAborted = (signal) => signal.#aborted;
      nexus.abortReason = (signal) => signal.#reason;
      nexus.signalAbort = (signal, reason) => {
        if (signal.#aborted) return;
        if (reason === undefined) reason = new DOMException("This operation was aborted", "AbortError");
        signal.#aborted = true;
        signal.#reason = reason;
        const affected = [];
        const dependents = signal.#dependents;
        for (let i = 0; dependents !== null && i < dependents.length; i++) {
          const dependent = deref(dependents[i]);
          if (dependent === undefined || dependent.#aborted) continue;
          dependent.#aborted = true;
          dependent.#reason = reason;
          affected[affected.length] = dependent;
        }
        signal.#dependents = signal.#pinned = null;
        runAbortSteps(signal);
        for (let i = 0; i < affected.length; i++) runAbortSteps(affected[i]);
      };
      runAbortSteps = (signal) => {
        const algorithms = signal.#algorithms;
        signal.#algorithms = null;
        signal.#unlink();
        if (algorithms !== null) algorithms.forEach((_, algorithm) => algorithm());
        if (nexus.hasListeners(signal, "abort")) nexus.fireEvent(signal, new nexus.Event("abort"));
      };
      /** Has `algorithm()` run at the abort; nothing if the signal is aborted already. It must not throw. */
      nexus.addAbortAlgorithm = (signal, algorithm) => {
        if (signal.#aborted) return;
        (signal.#algorithms ??= new SafeMap()).set(algorithm, true);
        if (signal.#sources !== null) signal.#pin();
      };
      nexus.removeAbortAlgorithm = (signal, algorithm) => {
        signal.#algorithms?.delete(algorithm);
        if (signal.#sources !== null) signal.#pin();
      };
      /** A signal that aborts with the first of `signals`. */
      nexus.dependentSignal = (signals) => {
        const result = make();
        for (let i = 0; i < signals.length; i++) {
          if (!signals[i].#aborted) continue;
          result.#aborted = true;
          result.#reason = signals[i].#reason;
          return result;
        }
        result.#dependent = true;
        const sources = (result.#sources = new SafeSet());
        for (let i = 0; i < signals.length; i++) {
          if (!signals[i].#dependent) sources.add(signals[i]);
          else signals[i].#sources?.forEach((source) => sources.add(source));
        }
        const reference = new Weak(result);
        sources.forEach((source) => source.#link(reference));
        nexus.watchListeners(result, (signal, type) => {
          if (type === "abort" && signal.#sources !== null) signal.#pin();
        });
        return result;
      };
    }

    constructor() {
      if (arguments[0] !== KEY) throw illegalConstructor();
      super();
    }
    #link(reference) {
      const list = (this.#dependents ??= []);
      // Dead entries are dropped whenever the list would double.
      if (list.length >= 8 && (list.length & (list.length - 1)) === 0) {
        let kept = 0;
        for (let i = 0; i < list.length; i++) if (deref(list[i]) !== undefined) list[kept++] = list[i];
        list.length = kept;
      }
      list[list.length] = reference;
    }
    #pin() {
      const wanted = (this.#algorithms?.size ?? 0) > 0 || nexus.hasListeners(this, "abort");
      this.#sources.forEach((source) => {
        if (wanted && !source.#aborted) (source.#pinned ??= new SafeSet()).add(this);
        else source.#pinned?.delete(this);
      });
    }
    #unlink() {
      this.#sources?.forEach((source) => source.#pinned?.delete(this));
      this.#sources = null;
    }

    static abort(reason = undefined) {
      const signal = make();
      nexus.signalAbort(signal, reason);
      return signal;
    }
    static timeout(milliseconds) {
      required(arguments.length, 1, "AbortSignal.timeout");
      const delay = integer(milliseconds, 64, false, "AbortSignal.timeout", true);
      const signal = make();
      nexus.setTimeoutInternal(
        () => nexus.signalAbort(signal, new DOMException("The operation timed out", "TimeoutError")),
        delay,
      );
      return signal;
    }
    static any(signals) {
      required(arguments.length, 1, "AbortSignal.any");
      return nexus.dependentSignal(
        sequence(signals, "AbortSignal.any", (signal) => {
          if (!isSignal(signal)) throw new TypeError("AbortSignal.any: an element is not an AbortSignal");
          return signal;
        }),
      );
    }
    get aborted() {
      return this.#aborted;
    }
    get reason() {
      return this.#reason;
    }
    throwIfAborted() {
      if (this.#aborted) throw this.#reason;
    }
  }
  nexus.isAbortSignal = isSignal;
  nexus.newAbortSignal = make;
  nexus.defineEventHandler(AbortSignal.prototype, "abort", isSignal);
  finishInterface(AbortSignal);

  class AbortController {
    #signal = null;
    get signal() {
      return (this.#signal ??= make());
    }
    abort(reason = undefined) {
      nexus.signalAbort((this.#signal ??= make()), reason);
    }
  }
  finishInterface(AbortController);
})
