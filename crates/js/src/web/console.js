// The console. https://console.spec.whatwg.org/
//
// Plain strings go straight to the log; everything else is formatted by console_format.js, and all but the usual methods
// are in console_more.js: both are loaded then.
(function (nexus) {
  "use strict";
  const { ops } = nexus;
  const { SafeMap } = nexus.webidl;
  // As the native side has them.
  const DEBUG = 0, INFO = 1, WARN = 2, ERROR = 3;
  // How far the lines of a request are indented, by the request's number, while it has groups that are open.
  const indents = (nexus.consoleIndents = new SafeMap());

  const emit = (level, text, stack) => {
    const indent = indents.size === 0 ? undefined : indents.get(ops.consoleScope());
    ops.consoleLog(level, indent === undefined ? text : nexus.indentLines(text, indent), stack);
  };
  /** Logger, section 2.1. */
  const print = (level, args) => {
    if (args.length === 0 || !ops.consoleWants(level)) return;
    emit(level, args.length === 1 && typeof args[0] === "string" ? args[0] : nexus.formatLog(args));
  };
  nexus.consoleEmit = emit;
  nexus.consolePrint = print;

  const console = {
    assert(condition = false, ...data) {
      if (!condition) nexus.consoleMore.assert(data);
    },
    clear() {
      indents.delete(ops.consoleScope());
    },
    debug(...data) {
      print(DEBUG, data);
    },
    error(...data) {
      print(ERROR, data);
    },
    info(...data) {
      print(INFO, data);
    },
    log(...data) {
      print(INFO, data);
    },
    table(tabularData = undefined, properties = undefined) {
      nexus.consoleMore.table(tabularData, properties);
    },
    trace(...data) {
      if (ops.consoleWants(DEBUG)) nexus.consoleMore.trace(data, trace);
    },
    warn(...data) {
      print(WARN, data);
    },
    dir(item = undefined, options = undefined) {
      nexus.consoleMore.dir(item, options);
    },
    dirxml(...data) {
      print(INFO, data);
    },
    count(label = undefined) {
      nexus.consoleMore.count(label);
    },
    countReset(label = undefined) {
      nexus.consoleMore.countReset(label);
    },
    group(...data) {
      nexus.consoleMore.group(data);
    },
    groupCollapsed(...data) {
      nexus.consoleMore.group(data);
    },
    groupEnd() {
      nexus.consoleMore.groupEnd();
    },
    time(label = undefined) {
      nexus.consoleMore.time(label);
    },
    timeLog(label = undefined, ...data) {
      nexus.consoleMore.timeLog(label, data);
    },
    timeEnd(label = undefined) {
      nexus.consoleMore.timeEnd(label);
    },
  };
  const { trace } = console;
  // A namespace object: its prototype is an empty object of its own.
  Object.setPrototypeOf(console, {});
  Object.defineProperty(console, Symbol.toStringTag, { value: "console", configurable: true });
  nexus.define("console", console);
})
