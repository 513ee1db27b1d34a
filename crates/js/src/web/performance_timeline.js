// The performance timeline: entries, marks and measures. https://w3c.github.io/performance-timeline/
// https://w3c.github.io/user-timing/
(function (nexus) {
  "use strict";
  const { ops } = nexus;
  const { required, domString, dictionary, isObject, finishInterface, illegalConstructor, SafeMap } = nexus.webidl;
  const KEY = { __proto__: null };

  /** DOMHighResTimeStamp. */
  const timestamp = (value, what) => {
    const number = +value;
    if (number - number !== 0) throw new TypeError(`${what} is not a finite number`);
    return number;
  };
  const cloned = (detail) => {
    return detail === undefined || detail === null ? null : nexus.structuredCloneInternal(detail, [], undefined);
  };

  let nameOf, typeOf, startOf;
  // Of marks and of measures: `undefined` of other entries.
  let markDetail, measureDetail;
  class PerformanceEntry {
    #name;
    #type;
    #start;
    #duration;
    static {
      nameOf = (entry) => entry.#name;
      typeOf = (entry) => entry.#type;
      startOf = (entry) => entry.#start;
    }
    constructor() {
      if (arguments[0] !== KEY) throw illegalConstructor();
      this.#name = arguments[1];
      this.#type = arguments[2];
      this.#start = arguments[3];
      this.#duration = arguments[4];
    }
    get name() {
      return this.#name;
    }
    get entryType() {
      return this.#type;
    }
    get startTime() {
      return this.#start;
    }
    get duration() {
      return this.#duration;
    }
    toJSON() {
      const json = { name: this.#name, entryType: this.#type, startTime: this.#start, duration: this.#duration };
      const detail = markDetail(this) ?? measureDetail(this);
      // Of no standard, but all have it, and the web platform tests ask for it.
      if (detail !== undefined) json.detail = detail.value;
      return json;
    }
  }
  finishInterface(PerformanceEntry);

  class PerformanceMark extends PerformanceEntry {
    #detail;
    static {
      markDetail = (entry) => (#detail in entry ? { value: entry.#detail } : undefined);
    }
    constructor(markName, markOptions = undefined) {
      required(arguments.length, 1, "PerformanceMark");
      markName = domString(markName);
      const { detail, startTime } = markInit(markOptions);
      if (startTime < 0) throw new TypeError("PerformanceMark: startTime is negative");
      super(KEY, markName, "mark", startTime ?? ops.performanceNow(), 0);
      this.#detail = cloned(detail);
    }
    get detail() {
      return this.#detail;
    }
  }
  const markInit = (options) => {
    const init = dictionary(options, "PerformanceMark");
    const { detail } = init;
    let { startTime } = init;
    if (startTime !== undefined) startTime = timestamp(startTime, "PerformanceMark: startTime");
    return { __proto__: null, detail, startTime };
  };
  finishInterface(PerformanceMark);

  class PerformanceMeasure extends PerformanceEntry {
    #detail;
    static {
      measureDetail = (entry) => (#detail in entry ? { value: entry.#detail } : undefined);
    }
    constructor() {
      if (arguments[0] !== KEY) throw illegalConstructor();
      super(KEY, arguments[1], "measure", arguments[2], arguments[3]);
      this.#detail = arguments[4];
    }
    get detail() {
      return this.#detail;
    }
  }
  finishInterface(PerformanceMeasure);

  // In the order of their creation. A guest lives for many requests, so the oldest go when there are too many.
  const KEPT = 10_000;
  let entries = [];
  // By name, where the latest mark started.
  let latest = new SafeMap();
  const rebuild = (keep) => {
    const kept = [];
    latest = new SafeMap();
    for (let i = 0; i < entries.length; i++) {
      if (!keep(entries[i], i)) continue;
      kept[kept.length] = entries[i];
      if (typeOf(entries[i]) === "mark") latest.set(nameOf(entries[i]), startOf(entries[i]));
    }
    entries = kept;
  };
  const add = (entry) => {
    if (entries.length === KEPT) rebuild((_, i) => i >= KEPT / 2);
    entries[entries.length] = entry;
    return entry;
  };

  // A mark's name, or a time.
  const markOrTime = (value, what) => (typeof value === "number" ? timestamp(value, what) : domString(value));
  const timeOf = (mark) => {
    if (typeof mark === "number") {
      if (mark < 0) throw new TypeError("Performance.measure: a time is negative");
      return mark;
    }
    const time = latest.get(mark);
    if (time === undefined) throw new nexus.DOMException(`The mark '${mark}' does not exist`, "SyntaxError");
    return time;
  };

  nexus.timeline = {
    __proto__: null,
    entries(name, type) {
      const list = [];
      for (let i = 0; i < entries.length; i++) {
        const entry = entries[i];
        if (name !== undefined && nameOf(entry) !== name) continue;
        if (type !== undefined && typeOf(entry) !== type) continue;
        list[list.length] = entry;
      }
      return sorted(list);
    },
    mark(name, options) {
      const entry = new PerformanceMark(name, options);
      // Nothing but an entry may get into the list: a guest may have given the class another parent.
      const label = nameOf(entry);
      add(entry);
      latest.set(label, startOf(entry));
      return entry;
    },
    measure(name, startOrOptions, endMark) {
      const what = "Performance.measure";
      name = domString(name);
      let start, end, duration, detail;
      let isDictionary = false;
      if (startOrOptions === undefined || startOrOptions === null || isObject(startOrOptions)) {
        const given = dictionary(startOrOptions, what);
        detail = given.detail;
        duration = given.duration;
        if (duration !== undefined) duration = timestamp(duration, `${what}: duration`);
        end = given.end;
        if (end !== undefined) end = markOrTime(end, `${what}: end`);
        start = given.start;
        if (start !== undefined) start = markOrTime(start, `${what}: start`);
        isDictionary = detail !== undefined || duration !== undefined || end !== undefined || start !== undefined;
      } else {
        start = domString(startOrOptions);
      }
      if (endMark !== undefined) endMark = domString(endMark);
      if (isDictionary) {
        if (endMark !== undefined) throw new TypeError(`${what}: there are options and an end`);
        if (start === undefined && end === undefined) {
          throw new TypeError(`${what}: there is neither a start nor an end`);
        }
        if (start !== undefined && end !== undefined && duration !== undefined) {
          throw new TypeError(`${what}: there are a start, an end and a duration`);
        }
      }
      let endTime, startTime;
      if (endMark !== undefined) endTime = timeOf(endMark);
      else if (end !== undefined) endTime = timeOf(end);
      else if (start !== undefined && duration !== undefined) endTime = timeOf(start) + timeOf(duration);
      else endTime = ops.performanceNow();
      if (start !== undefined) startTime = timeOf(start);
      else if (duration !== undefined && end !== undefined) startTime = timeOf(end) - timeOf(duration);
      else startTime = 0;
      const entry = new PerformanceMeasure(KEY, name, startTime, endTime - startTime, cloned(detail));
      nameOf(entry);
      return add(entry);
    },
    clear(type, name) {
      if (entries.length === 0) return;
      rebuild((entry) => typeOf(entry) !== type || (name !== undefined && nameOf(entry) !== name));
    },
  };

  /** By start, stable. Most lists are in order, or nearly. */
  const sorted = (list) => {
    let inOrder = true;
    for (let i = 1; i < list.length && inOrder; i++) inOrder = startOf(list[i - 1]) <= startOf(list[i]);
    return inOrder ? list : merge(list, 0, list.length);
  };
  const merge = (list, from, to) => {
    if (to - from === 1) return [list[from]];
    const middle = (from + to) >> 1;
    const a = merge(list, from, middle);
    const b = merge(list, middle, to);
    const out = [];
    for (let i = 0, j = 0; i < a.length || j < b.length; ) {
      out[out.length] = j === b.length || (i < a.length && startOf(a[i]) <= startOf(b[j])) ? a[i++] : b[j++];
    }
    return out;
  };
})
