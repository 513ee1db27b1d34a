// The console's methods beside the usual ones: `nexus.consoleMore`. https://console.spec.whatwg.org/
(function (nexus) {
  "use strict";
  const { ops, consoleEmit: emit, consolePrint: print, consoleIndents: indents } = nexus;
  const { SafeMap, domString, isObject, sequence } = nexus.webidl;
  const { captureStackTrace } = nexus.builtins;
  const { slice } = nexus.builtins.string;
  const DEBUG = 0, INFO = 1, WARN = 2, ERROR = 3;
  const counts = new SafeMap();
  const timers = new SafeMap();
  /** So many requests at most have indented lines: they may leave groups open. */
  const MOST_INDENTS = 1000;
  /** No deeper than this, in characters. */
  const DEEPEST = 64;

  const named = (label) => (label === undefined ? "default" : domString(label));
  const rounded = (number) => number + 0.5 - ((number + 0.5) % 1);
  const elapsed = (since) => {
    const ms = ops.performanceNow() - since;
    return ms < 1000 ? `${rounded(ms * 1000) / 1000}ms` : `${rounded(ms) / 1000}s`;
  };
  const timed = (label, rest) => {
    const since = timers.get(label);
    if (since === undefined) {
      emit(WARN, `Timer "${label}" does not exist`);
      return;
    }
    const text = `${label}: ${elapsed(since)}`;
    emit(INFO, rest.length === 0 ? text : `${text} ${nexus.formatList(rest)}`);
  };

  nexus.consoleMore = {
    __proto__: null,
    assert(data) {
      const message = "Assertion failed";
      if (data.length > 0 && typeof data[0] === "string") {
        data[0] = `${message}: ${data[0]}`;
      } else {
        for (let i = data.length; i > 0; i--) data[i] = data[i - 1];
        data[0] = message;
      }
      print(ERROR, data);
    },
    table(data, properties) {
      const columns = properties === undefined ? undefined : sequence(properties, "console.table: the properties", domString);
      if (ops.consoleWants(INFO)) emit(INFO, nexus.formatTable(data, columns));
    },
    /** The stack is that of who called `method`. */
    trace(data, method) {
      const holder = { name: "Trace", message: "" };
      captureStackTrace(holder, method);
      emit(DEBUG, data.length === 0 ? "Trace" : `Trace: ${nexus.formatLog(data)}`, `${holder.stack}`);
    },
    dir(item, options) {
      if (options !== undefined && options !== null && !isObject(options)) {
        throw new TypeError("console.dir: the options are not an object");
      }
      if (ops.consoleWants(INFO)) emit(INFO, nexus.inspect(item, options));
    },
    count(label) {
      label = named(label);
      const count = (counts.get(label) ?? 0) + 1;
      counts.set(label, count);
      emit(INFO, `${label}: ${count}`);
    },
    countReset(label) {
      label = named(label);
      if (counts.has(label)) counts.set(label, 0);
      else emit(WARN, `Count for "${label}" does not exist`);
    },
    group(data) {
      print(INFO, data);
      const key = ops.consoleScope();
      const indent = indents.get(key) ?? "";
      if (indent === "" && indents.size >= MOST_INDENTS) indents.clear();
      if (indent.length < DEEPEST) indents.set(key, `${indent}  `);
    },
    groupEnd() {
      const key = ops.consoleScope();
      const indent = slice(indents.get(key) ?? "", 2);
      if (indent === "") indents.delete(key);
      else indents.set(key, indent);
    },
    time(label) {
      label = named(label);
      if (timers.has(label)) emit(WARN, `Timer "${label}" already exists`);
      else timers.set(label, ops.performanceNow());
    },
    timeLog(label, data) {
      timed(named(label), data);
    },
    timeEnd(label) {
      label = named(label);
      timed(label, []);
      timers.delete(label);
    },
  };
})
