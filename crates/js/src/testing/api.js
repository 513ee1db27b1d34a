// The functions of testharness.js that tests are made with, by their names there, and all of them as globals.
// https://web-platform-tests.org/writing-tests/testharness-api.html
import * as asserts from "./assert.js";
import { fetch_json, needs } from "./files.js";
import { format_value } from "./format.js";
import { suite } from "./suite.js";
import { Test } from "./test.js";
import * as throwing from "./throws.js";
import { EventWatcher } from "./watcher.js";

const { AssertionError, fail } = asserts;
const { setTimeout } = globalThis;
const resolved = Promise.resolve.bind(Promise);

let title = "Untitled";
let untitled = 0;

/** Sets what tests without a name are called. */
export function setTitle(text) {
  title = text;
}

function nextName() {
  const number = untitled++;
  return number === 0 ? title : `${title} ${number}`;
}

/** How many tests have the code of their function as their name, by that. */
const codeNames = new Map();

/** A test's name: as given, or the code of an arrow function on one line, or the title with a number. */
function nameOf(func, name) {
  if (name) return name;
  const code = func ? Function.prototype.toString.call(func) : "";
  if (/[\n\r\u2028\u2029]/.test(code)) return nextName();
  const arrow = /^\(\)\s*=>\s*(?:\{(?<block>.*)\}\s*|(?<expression>.*))$/.exec(code);
  if (arrow === null) return nextName();
  let body = (arrow.groups.block ?? arrow.groups.expression).trim();
  // A semicolon at the end, if it is the only one.
  body = body.replace(/^([^;]*)(?:;\s*)+$/, "$1");
  if (body === "") return nextName();
  const number = codeNames.get(body) ?? 0;
  codeNames.set(body, number + 1);
  return number === 0 ? body : `${body} ${number}`;
}

/** Tests that are no promises have no place after `promise_setup`. */
function refuseAfterSetup(name) {
  if (suite.promiseSetup) suite.endWithError(`\`${name}\` invoked after \`promise_setup\``);
}

function complaint(name, func, value) {
  let isThenable = false;
  try {
    isThenable = typeof value?.then === "function";
  } catch {
    // Then it is none.
  }
  const hint = isThenable ? " Consider using `promise_test` instead when using Promises or async/await." : "";
  return `Test named "${name}" passed a function to \`${func}\` that returned a value.${hint}`;
}

function test(func, name, properties) {
  refuseAfterSetup("test");
  const made = new Test(nameOf(func, name), properties);
  const value = made.step(func, made, made);
  if (value !== undefined) suite.setStatus(suite.status.ERROR, complaint(made.name, "test", value));
  if (made.phase === made.phases.STARTED) made.done();
}

function async_test(func, name, properties) {
  refuseAfterSetup("async_test");
  if (typeof func !== "function") [func, name, properties] = [null, func, name];
  const made = new Test(nameOf(func, name), properties);
  if (func !== null) {
    const value = made.step(func, made, made);
    if (value !== undefined) suite.endWithError(complaint(made.name, "async_test", value));
  }
  return made;
}
suite.makeOneTest = () => {
  suite.current = async_test();
};

function promise_test(func, name, properties) {
  if (typeof func !== "function") [func, name, properties] = [null, func, name];
  const made = new Test(nameOf(func, name), properties);
  made._isPromiseTest = true;
  suite.promiseTests = (suite.promiseTests ?? resolved()).then(() => new Promise((resolve) => {
    const promise = made.step(func, made, made);
    made.step(() => {
      if (typeof promise?.then !== "function") {
        const what = `test body must return a 'thenable' object (received ${format_value(promise)})`;
        fail("promise_test", null, what);
      }
    });
    // Before the promise is looked at: a failed step may end the test whose promise never settles.
    made._whenComplete(resolve);
    const failed = made.step_func((reason) => {
      if (reason instanceof AssertionError) throw reason;
      const error = new AssertionError(`promise_test: Unhandled rejection with value: ${format_value(reason)}`);
      // Where it was thrown says more.
      if (reason instanceof Error) error.stack = reason.stack;
      throw error;
    });
    resolved(promise).catch(failed).then(() => made.done());
  }));
}

function promise_setup(func, properties = {}) {
  if (typeof func !== "function") {
    suite.endWithError("`promise_setup` invoked without a function");
    return;
  }
  suite.promiseSetup = true;
  suite.promiseTests = (suite.promiseTests ?? resolved())
    .then(() => {
      suite.setup(null, properties);
      const result = func();
      if (typeof result?.then !== "function") throw "Non-thenable returned by function passed to `promise_setup`";
      return result;
    })
    .catch((error) => suite.endWithError(String(error), error?.stack));
}

function setup(first, second) {
  if (arguments.length === 2) suite.setup(first, second);
  else if (typeof first === "function") suite.setup(first, {});
  else suite.setup(null, first);
}

function done() {
  suite.done();
}

function timeout() {
  if (suite.explicitTimeout) suite.timeout();
}

function generate_tests(func, args, properties) {
  args.forEach(([name, ...rest], i) => {
    const run = function () {
      func.apply(this, rest);
    };
    test(run, name, Array.isArray(properties) ? properties[i] : properties);
  });
}

function on_event(object, event, callback) {
  object.addEventListener(event, callback, false);
}

function step_timeout(func, delay, ...args) {
  const receiver = this;
  return setTimeout(() => {
    func.apply(receiver, args);
  }, delay * suite.multiplier);
}

const adding = (kind) => (callback) => {
  suite.callbacks[kind].push(callback);
};
const add_start_callback = adding("start");
const add_test_state_callback = adding("state");
const add_result_callback = adding("result");
const add_completion_callback = adding("completion");

/** What needs a second global has none here. */
const elsewhere = (what) => () => {
  needs(what);
  throw new AssertionError(`this harness has no ${what}`);
};
const fetch_tests_from_worker = elsewhere("workers");
const fetch_tests_from_window = elsewhere("windows");
const fetch_tests_from_shadow_realm = elsewhere("shadow realms");

const { fail: _, ...assertions } = { ...asserts, ...throwing };
const globals = {
  ...assertions,
  EventWatcher,
  add_completion_callback,
  add_result_callback,
  add_start_callback,
  add_test_state_callback,
  async_test,
  done,
  fetch_json,
  fetch_tests_from_shadow_realm,
  fetch_tests_from_window,
  fetch_tests_from_worker,
  format_value,
  generate_tests,
  on_event,
  promise_setup,
  promise_test,
  setup,
  step_timeout,
  test,
  timeout,
};
for (const name in globals) globalThis[name] = globals[name];
