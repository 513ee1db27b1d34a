// performance: the clock. https://w3c.github.io/hr-time/
// Its entries, marks and measures are in performance_timeline.js.
(function (nexus) {
  "use strict";
  const { ops } = nexus;
  const { required, domString, finishInterface, illegalConstructor } = nexus.webidl;
  const KEY = { __proto__: null };

  class Performance extends nexus.EventTarget {
    #brand;
    constructor() {
      if (arguments[0] !== KEY) throw illegalConstructor();
      super();
    }
    get timeOrigin() {
      this.#brand;
      return ops.performanceTimeOrigin();
    }
    /** Milliseconds since the guest's start, in steps of 0.1: too coarse to time other guests' memory. */
    now() {
      this.#brand;
      return ops.performanceNow();
    }
    toJSON() {
      this.#brand;
      return { timeOrigin: ops.performanceTimeOrigin() };
    }
    getEntries() {
      this.#brand;
      return nexus.timeline.entries(undefined, undefined);
    }
    getEntriesByType(type) {
      this.#brand;
      required(arguments.length, 1, "Performance.getEntriesByType");
      return nexus.timeline.entries(undefined, domString(type));
    }
    getEntriesByName(name, type = undefined) {
      this.#brand;
      required(arguments.length, 1, "Performance.getEntriesByName");
      name = domString(name);
      return nexus.timeline.entries(name, type === undefined ? undefined : domString(type));
    }
    mark(markName, markOptions = undefined) {
      this.#brand;
      required(arguments.length, 1, "Performance.mark");
      return nexus.timeline.mark(markName, markOptions);
    }
    clearMarks(markName = undefined) {
      this.#brand;
      nexus.timeline.clear("mark", markName === undefined ? undefined : domString(markName));
    }
    measure(measureName, startOrMeasureOptions = undefined, endMark = undefined) {
      this.#brand;
      required(arguments.length, 1, "Performance.measure");
      return nexus.timeline.measure(measureName, startOrMeasureOptions, endMark);
    }
    clearMeasures(measureName = undefined) {
      this.#brand;
      nexus.timeline.clear("measure", measureName === undefined ? undefined : domString(measureName));
    }
  }
  finishInterface(Performance);
  nexus.performance = new Performance(KEY);
})
