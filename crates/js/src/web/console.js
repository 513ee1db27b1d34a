// The console. https://console.spec.whatwg.org/
//
// Plain strings go straight to the log; everything else is formatted by inspect.js, which is loaded then.
(function (nexus) {
  "use strict";
  const { ops } = nexus;
  const { SafeMap, domString } = nexus.webidl;
  const { slice } = nexus.builtins.string;
  const { captureStackTrace } = Error;
  // As the native side has them.
  const DEBUG = 0, INFO = 1, WARN = 2, ERROR = 3;
  let indent = "";
  const counts = new SafeMap();
  const timers = new SafeMap();

  const emit = (level, text, stack) => {
    ops.consoleLog(level, indent === "" ? text : nexus.indentLines(text, indent), stack);
  };
  const print = (level, args) => {
    if (!ops.consoleWants(level)) return;
    emit(level, args.length === 1 && typeof args[0] === "string" ? args[0] : nexus.formatLog(args));
  };
  const label = (value) => (value === undefined ? "default" : domString(value));
  const elapsed = (since) => {
    const ms = ops.performanceNow() - since;
    return ms < 1000 ? `${+ms.toFixed(3)}ms` : `${+(ms / 1000).toFixed(3)}s`;
  };
  const timed = (name, rest) => {
    const since = timers.get(name);
    if (since === undefined) {
      emit(WARN, `Timer "${name}" does not exist`);
      return;
    }
    const text = `${name}: ${elapsed(since)}`;
    emit(INFO, rest.length === 0 ? text : `${text} ${nexus.formatLog(rest)}`);
  };

  const console = {
    log(...data) {
      print(INFO, data);
    },
    info(...data) {
      print(INFO, data);
    },
    warn(...data) {
      print(WARN, data);
    },
    error(...data) {
      print(ERROR, data);
    },
    debug(...data) {
      print(DEBUG, data);
    },
    trace(...data) {
      if (!ops.consoleWants(DEBUG)) return;
      const holder = { name: "Trace", message: "" };
      captureStackTrace(holder, console.trace);
      emit(DEBUG, data.length === 0 ? "Trace" : `Trace: ${nexus.formatLog(data)}`, `${holder.stack}`);
    },
    dir(item = undefined, options) {
      emit(INFO, nexus.inspect(item, options));
    },
    dirxml(...data) {
      print(INFO, data);
    },
    table(data = undefined, properties) {
      emit(INFO, nexus.formatTable(data, properties));
    },
    assert(condition = false, ...data) {
      if (condition) return;
      if (data.length === 0) data[0] = "Assertion failed";
      else if (typeof data[0] === "string") data[0] = `Assertion failed: ${data[0]}`;
      else data = ["Assertion failed", ...data];
      print(ERROR, data);
    },
    group(...data) {
      if (data.length > 0) print(INFO, data);
      if (indent.length < 64) indent += "  ";
    },
    groupCollapsed(...data) {
      if (data.length > 0) print(INFO, data);
      if (indent.length < 64) indent += "  ";
    },
    groupEnd() {
      indent = slice(indent, 2);
    },
    count(name = undefined) {
      name = label(name);
      const count = (counts.get(name) ?? 0) + 1;
      counts.set(name, count);
      emit(INFO, `${name}: ${count}`);
    },
    countReset(name = undefined) {
      name = label(name);
      if (!counts.delete(name)) emit(WARN, `Count for "${name}" does not exist`);
    },
    time(name = undefined) {
      name = label(name);
      if (timers.has(name)) emit(WARN, `Timer "${name}" already exists`);
      else timers.set(name, ops.performanceNow());
    },
    timeLog(name = undefined, ...data) {
      timed(label(name), data);
    },
    timeEnd(name = undefined) {
      name = label(name);
      timed(name, []);
      timers.delete(name);
    },
    clear() {
      indent = "";
    },
  };
  // A namespace object: its prototype is an empty object of its own.
  Object.setPrototypeOf(console, {});
  Object.defineProperty(console, Symbol.toStringTag, { value: "console", configurable: true });
  nexus.define("console", console);
})
