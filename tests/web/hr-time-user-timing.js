// Performance Timeline; User Timing.
import {
  test, promise_test, run, assert_equals, assert_true, assert_array_equals, assert_interface, assert_throws_js, assert_throws_dom, delay,
} from "./harness.js";

const clear = () => {
  performance.clearMarks();
  performance.clearMeasures();
};

test(() => {
  assert_interface("PerformanceEntry", ["name", "entryType", "startTime", "duration", "toJSON"]);
  assert_interface("PerformanceMark", ["detail"], { length: 1, parent: PerformanceEntry.prototype });
  assert_interface("PerformanceMeasure", ["detail"], { parent: PerformanceEntry.prototype });
  assert_throws_js(TypeError, () => new PerformanceEntry());
  assert_throws_js(TypeError, () => new PerformanceMeasure());
  assert_interface("Performance", [
    "now", "timeOrigin", "toJSON", "mark", "measure", "clearMarks", "clearMeasures", "getEntries", "getEntriesByType", "getEntriesByName",
  ], { parent: EventTarget.prototype });
}, "the interfaces are as Web IDL says");

promise_test(async () => {
  clear();
  const before = performance.now();
  const mark = performance.mark("a");
  assert_true(mark instanceof PerformanceMark);
  assert_true(mark.startTime >= before);
  assert_array_equals([mark.name, mark.entryType, mark.duration, mark.detail], ["a", "mark", 0, null]);
  await delay(2);
  const measure = performance.measure("m", "a");
  assert_true(measure instanceof PerformanceMeasure && measure.duration >= 1.8);
  assert_array_equals([measure.name, measure.entryType, measure.startTime, measure.detail], ["m", "measure", mark.startTime, null]);
  const { startTime } = mark;
  assert_equals(JSON.stringify(mark), JSON.stringify({ name: "a", entryType: "mark", startTime, duration: 0, detail: null }));
  assert_array_equals(performance.getEntries(), [mark, measure]);
}, "mark() and measure()");

test(() => {
  clear();
  const c = performance.mark("c", { startTime: 30 });
  const a = performance.mark("a", { startTime: 10 });
  const again = performance.mark("a", { startTime: 20 });
  const b = performance.mark("b", { startTime: 10 });
  assert_array_equals(performance.getEntries(), [a, b, again, c]);
  assert_array_equals(performance.getEntriesByName("a"), [a, again]);
  assert_array_equals(performance.getEntriesByName("a", "measure"), []);
  assert_array_equals(performance.getEntriesByType("mark"), [a, b, again, c]);
  assert_equals(performance.measure("m", "a", "c").duration, 10, "the latest mark of the name counts");
  performance.clearMarks("a");
  assert_array_equals(performance.getEntriesByType("mark"), [b, c]);
  assert_throws_dom("SyntaxError", () => performance.measure("m", "a"));
  performance.clearMarks();
  assert_equals(performance.getEntries().length, 1);
  performance.clearMeasures("other");
  assert_equals(performance.getEntries().length, 1);
  performance.clearMeasures("m");
  assert_equals(performance.getEntries().length, 0);
  new PerformanceMark("not on the timeline");
  assert_equals(performance.getEntries().length, 0);
}, "entries are listed by their start, and cleared by name");

test(() => {
  clear();
  performance.mark("at 10", { startTime: 10 });
  const of = (...args) => {
    const { startTime, duration } = performance.measure("m", ...args);
    return `${startTime} ${duration}`;
  };
  assert_equals(of({ start: 5, end: "at 10" }), "5 5");
  assert_equals(of({ start: "at 10", duration: 7 }), "10 7");
  assert_equals(of({ end: 20, duration: 5 }), "15 5");
  assert_equals(of({ end: 20 }), "0 20");
  assert_equals(of("at 10", "at 10"), "10 0");
  assert_equals(of(undefined, "at 10"), "0 10");
  assert_equals(of({}, "at 10"), "0 10");
  assert_equals(performance.measure("m").startTime, 0);
  assert_throws_js(TypeError, () => performance.measure());
  assert_throws_js(TypeError, () => performance.measure("m", { start: 1 }, "at 10"));
  assert_throws_js(TypeError, () => performance.measure("m", { detail: 1 }));
  assert_throws_js(TypeError, () => performance.measure("m", { start: 1, end: 2, duration: 1 }));
  assert_throws_js(TypeError, () => performance.measure("m", { start: -1 }));
  assert_throws_js(TypeError, () => performance.measure("m", { start: NaN }));
  assert_throws_dom("SyntaxError", () => performance.measure("m", "none"));
  assert_throws_dom("SyntaxError", () => performance.measure("m", { end: "none" }));
  assert_throws_dom("SyntaxError", () => performance.measure("m", null, "none"));
  assert_throws_js(TypeError, () => performance.mark());
  assert_throws_js(TypeError, () => performance.mark("x", { startTime: -1 }));
  assert_throws_js(TypeError, () => performance.mark("x", { startTime: Infinity }));
  assert_throws_js(TypeError, () => performance.mark("x", 1));
}, "what measure() measures, and what it refuses");

test(() => {
  clear();
  const detail = { list: [1] };
  const mark = performance.mark("a", { detail });
  assert_true(mark.detail !== detail && mark.detail.list !== detail.list);
  assert_equals(mark.detail.list[0], 1);
  assert_equals(mark.detail, mark.detail);
  assert_equals(performance.measure("m", { start: 0, detail: 5 }).detail, 5);
  assert_equals(performance.mark("b", { detail: undefined }).detail, null);
  assert_throws_dom("DataCloneError", () => performance.mark("c", { detail: () => {} }));
  assert_equals(performance.getEntriesByName("c").length, 0);
  clear();
}, "a detail is cloned");

test(() => {
  clear();
  for (let i = 0; i < 10_001; i++) performance.mark(`m${i}`);
  const names = performance.getEntries().map((entry) => entry.name);
  assert_true(names.length <= 10_000 && names.length > 4_000, String(names.length));
  assert_equals(names.at(-1), "m10000");
  assert_throws_dom("SyntaxError", () => performance.measure("m", "m0"));
  clear();
}, "the oldest entries go when there are very many");

export default run;
