
// ---- Global

/**
 * The global object, which is an `EventTarget`.
 * @standard https://html.spec.whatwg.org/multipage/workers.html#dom-workerglobalscope-self
 */
declare var self: typeof globalThis;
interface GlobalEventMap {
  error: ErrorEvent;
  unhandledrejection: PromiseRejectionEvent;
  rejectionhandled: PromiseRejectionEvent;
}
/**
 * Listens to an event of the global object.
 * @standard https://dom.spec.whatwg.org/#dom-eventtarget-addeventlistener
 * @inherited
 * @differs There is no `fetch` event: requests go to the default export.
 */
declare function addEventListener<K extends keyof GlobalEventMap>(type: K, callback: ((event: GlobalEventMap[K]) => any) | null, options?: AddEventListenerOptions | boolean): void;
declare function addEventListener(type: string, callback: EventListenerOrEventListenerObject | null, options?: AddEventListenerOptions | boolean): void;
/**
 * Takes back `addEventListener`.
 * @standard https://dom.spec.whatwg.org/#dom-eventtarget-removeeventlistener
 * @inherited
 */
declare function removeEventListener<K extends keyof GlobalEventMap>(type: K, callback: ((event: GlobalEventMap[K]) => any) | null, options?: EventListenerOptions | boolean): void;
declare function removeEventListener(type: string, callback: EventListenerOrEventListenerObject | null, options?: EventListenerOptions | boolean): void;
/**
 * Dispatches an event to the global object.
 * @standard https://dom.spec.whatwg.org/#dom-eventtarget-dispatchevent
 * @inherited
 */
declare function dispatchEvent(event: Event): boolean;
/**
 * Hears of exceptions that nothing caught: an `error` event's handler.
 * @standard https://html.spec.whatwg.org/multipage/webappapis.html#handler-onerror
 * @differs Exceptions of a handler for a request are none of these: they are its answer, a 500. What is not canceled goes to the log.
 */
declare var onerror: ((message: Event | string, filename?: string, lineno?: number, colno?: number, error?: any) => any) | null;
/**
 * Hears of promises that were rejected with nobody to handle it.
 * @standard https://html.spec.whatwg.org/multipage/webappapis.html#handler-window-onunhandledrejection
 * @differs What is not canceled goes to the log.
 */
declare var onunhandledrejection: ((event: PromiseRejectionEvent) => any) | null;
/**
 * Hears of rejected promises that somebody handled after all.
 * @standard https://html.spec.whatwg.org/multipage/webappapis.html#handler-window-onrejectionhandled
 */
declare var onrejectionhandled: ((event: PromiseRejectionEvent) => any) | null;
/**
 * Reports an exception as if nothing had caught it.
 * @standard https://html.spec.whatwg.org/multipage/webappapis.html#dom-reporterror
 */
declare function reportError(e: any): void;
/**
 * Runs a function after what runs now.
 * @standard https://html.spec.whatwg.org/multipage/timers-and-user-prompts.html#dom-queuemicrotask
 */
declare function queueMicrotask(callback: () => void): void;
/**
 * Makes a copy of a value, with all that it refers to.
 * @standard https://html.spec.whatwg.org/multipage/structured-data.html#dom-structuredclone
 * @differs A `WebAssembly.Module` is a `DataCloneError`: there are no workers that could get one. A view of fixed length that reaches to the end of a resizable buffer becomes one that grows with it, because V8 does not tell the two apart.
 */
declare function structuredClone<T = any>(value: T, options?: StructuredSerializeOptions): T;
interface StructuredSerializeOptions {
  transfer?: Transferable[];
}
type Transferable = ArrayBuffer | MessagePort | ReadableStream | WritableStream | TransformStream;

/**
 * Calls a function once, later.
 * @standard https://html.spec.whatwg.org/multipage/timers-and-user-prompts.html#dom-settimeout
 * @differs Text as handler is a `TypeError`, because apps compile no code from text. A request's timers end with it, because what it holds goes when it is over.
 */
declare function setTimeout<A extends any[]>(handler: (...args: A) => void, timeout?: number, ...args: A): number;
/**
 * Calls a function again and again.
 * @standard https://html.spec.whatwg.org/multipage/timers-and-user-prompts.html#dom-setinterval
 * @differs As `setTimeout()`.
 */
declare function setInterval<A extends any[]>(handler: (...args: A) => void, timeout?: number, ...args: A): number;
/**
 * Takes back `setTimeout`.
 * @standard https://html.spec.whatwg.org/multipage/timers-and-user-prompts.html#dom-cleartimeout
 */
declare function clearTimeout(id?: number): void;
/**
 * Ends a `setInterval`.
 * @standard https://html.spec.whatwg.org/multipage/timers-and-user-prompts.html#dom-clearinterval
 */
declare function clearInterval(id?: number): void;
/**
 * Calls a function as soon as what runs now is done, after the timers that are due.
 * @standard https://nodejs.org/api/timers.html#setimmediatecallback-args
 * @differs As in Node.js, but for the result: a number, as of `setTimeout()`. Of no standard; libraries ask for it.
 */
declare function setImmediate<A extends any[]>(handler: (...args: A) => void, ...args: A): number;
/**
 * Takes back `setImmediate`.
 * @standard https://nodejs.org/api/timers.html#clearimmediateimmediate
 */
declare function clearImmediate(id?: number): void;

/**
 * Text of bytes (one character each) in Base64.
 * @standard https://html.spec.whatwg.org/multipage/webappapis.html#dom-btoa
 */
declare function btoa(data: string): string;
/**
 * The bytes (one character each) of text in Base64.
 * @standard https://html.spec.whatwg.org/multipage/webappapis.html#dom-atob
 */
declare function atob(data: string): string;

/**
 * What runs the code.
 * @standard https://html.spec.whatwg.org/multipage/system-state.html#the-navigator-object
 * @differs Nothing but `userAgent`: the rest is about browsers.
 */
interface Navigator {
  readonly userAgent: string;
}
declare var Navigator: {
  readonly prototype: Navigator;
};
/**
 * What runs the code.
 * @standard https://html.spec.whatwg.org/multipage/system-state.html#dom-navigator
 * @readonly
 */
declare var navigator: Navigator;

/**
 * Orders tasks by their priorities.
 * @standard https://wicg.github.io/scheduling-apis/#sec-scheduler
 * @differs `wait()` is an extension, as in Cloudflare Workers. There are no `TaskController` and `TaskSignal`: a task's priority is fixed.
 */
interface Scheduler {
  postTask<T>(callback: () => T | PromiseLike<T>, options?: SchedulerPostTaskOptions): Promise<Awaited<T>>;
  yield(): Promise<void>;
  wait(delay: number, options?: { signal?: AbortSignal }): Promise<void>;
}
declare var Scheduler: {
  readonly prototype: Scheduler;
};
interface SchedulerPostTaskOptions {
  signal?: AbortSignal;
  priority?: "user-blocking" | "user-visible" | "background";
  delay?: number;
}
/**
 * Orders tasks by their priorities.
 * @standard https://wicg.github.io/scheduling-apis/#sec-scheduler
 */
declare var scheduler: Scheduler;

/**
 * Writes to the log.
 * @standard https://console.spec.whatwg.org/
 */
interface Console {
  assert(condition?: boolean, ...data: any[]): void;
  clear(): void;
  debug(...data: any[]): void;
  error(...data: any[]): void;
  info(...data: any[]): void;
  log(...data: any[]): void;
  table(tabularData?: any, properties?: Iterable<string>): void;
  trace(...data: any[]): void;
  warn(...data: any[]): void;
  dir(item?: any, options?: { depth?: number | null } | null): void;
  dirxml(...data: any[]): void;
  count(label?: string): void;
  countReset(label?: string): void;
  group(...data: any[]): void;
  groupCollapsed(...data: any[]): void;
  groupEnd(): void;
  time(label?: string): void;
  timeLog(label?: string, ...data: any[]): void;
  timeEnd(label?: string): void;
}
/**
 * Writes to the log.
 * @standard https://console.spec.whatwg.org/#console-namespace
 * @differs A value's text is cut at 64 KB, with a note; getters and proxies are not run. Lines of a group are indented within their request only, because requests run side by side. `timeStamp()`, `profile()` and others of no standard are missing.
 */
declare var console: Console;

// ---- Performance

/**
 * Clocks, marks and measures.
 * @standard https://w3c.github.io/hr-time/#sec-performance
 * @differs `now()` goes in steps of 0.1 ms, against attacks that measure. There is no `timing` and no `navigation`, which are about pages, and no `PerformanceObserver`: entries are asked for.
 */
interface Performance extends EventTarget {
  now(): DOMHighResTimeStamp;
  readonly timeOrigin: DOMHighResTimeStamp;
  toJSON(): any;
  mark(markName: string, markOptions?: PerformanceMarkOptions): PerformanceMark;
  measure(measureName: string, startOrMeasureOptions?: string | PerformanceMeasureOptions, endMark?: string): PerformanceMeasure;
  clearMarks(markName?: string): void;
  clearMeasures(measureName?: string): void;
  getEntries(): PerformanceEntry[];
  getEntriesByType(type: string): PerformanceEntry[];
  getEntriesByName(name: string, type?: string): PerformanceEntry[];
}
declare var Performance: {
  readonly prototype: Performance;
};
/**
 * Clocks, marks and measures.
 * @standard https://w3c.github.io/hr-time/#the-performance-attribute
 */
declare var performance: Performance;
type DOMHighResTimeStamp = number;
/**
 * A mark or a measure.
 * @standard https://w3c.github.io/performance-timeline/#the-performanceentry-interface
 */
interface PerformanceEntry {
  readonly name: string;
  readonly entryType: string;
  readonly startTime: DOMHighResTimeStamp;
  readonly duration: DOMHighResTimeStamp;
  toJSON(): any;
}
declare var PerformanceEntry: {
  readonly prototype: PerformanceEntry;
};
/**
 * A point in time with a name.
 * @standard https://w3c.github.io/user-timing/#performancemark
 */
interface PerformanceMark extends PerformanceEntry {
  readonly detail: any;
}
declare var PerformanceMark: {
  readonly prototype: PerformanceMark;
  new (markName: string, markOptions?: PerformanceMarkOptions): PerformanceMark;
};
/**
 * The time between two points.
 * @standard https://w3c.github.io/user-timing/#performancemeasure
 */
interface PerformanceMeasure extends PerformanceEntry {
  readonly detail: any;
}
declare var PerformanceMeasure: {
  readonly prototype: PerformanceMeasure;
};
interface PerformanceMarkOptions {
  detail?: any;
  startTime?: DOMHighResTimeStamp;
}
interface PerformanceMeasureOptions {
  detail?: any;
  start?: string | DOMHighResTimeStamp;
  duration?: DOMHighResTimeStamp;
  end?: string | DOMHighResTimeStamp;
}
