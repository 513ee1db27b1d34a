// performance. https://w3c.github.io/hr-time/
(function (nexus) {
  "use strict";
  const { ops } = nexus;
  const { finishInterface, illegalConstructor } = nexus.webidl;
  const KEY = { __proto__: null };

  class Performance extends nexus.EventTarget {
    #brand;
    constructor() {
      if (arguments[0] !== KEY) throw illegalConstructor();
      super();
    }
    /** Milliseconds since the guest's start, in steps of 0.1: too coarse to time other guests' memory. */
    now() {
      this.#brand;
      return ops.performanceNow();
    }
    get timeOrigin() {
      this.#brand;
      return ops.performanceTimeOrigin();
    }
    toJSON() {
      this.#brand;
      return { timeOrigin: ops.performanceTimeOrigin() };
    }
  }
  finishInterface(Performance);
  nexus.define("performance", new Performance(KEY));
})
