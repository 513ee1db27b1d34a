// One test of a file.
// https://web-platform-tests.org/writing-tests/testharness-api.html#Test
import { assert_unreached, AssertionError, fail, OptionalFeatureUnsupportedError } from "./assert.js";
import { PHASES, suite } from "./suite.js";

const STATUSES = { PASS: 0, FAIL: 1, TIMEOUT: 2, NOTRUN: 3, PRECONDITION_FAILED: 4 };
const WORDS = ["Pass", "Fail", "Timeout", "Not Run", "Optional Feature Unsupported"];

// Tests may replace it.
const { setTimeout } = globalThis;
const setTimer = (callback, delay) => setTimeout(callback, delay);
const resolved = Promise.resolve.bind(Promise);

export class Test {
  #cleanups = [];
  #whenComplete = [];
  #controller = null;

  constructor(name, properties) {
    if (suite.isOneTest && suite.tests.length > 0) throw new Error("Tried to create a test with file_is_test");
    this.name = name;
    this.phase = suite.aborted || suite.isComplete ? PHASES.COMPLETE : PHASES.INITIAL;
    this.status = STATUSES.NOTRUN;
    this.index = null;
    this.properties = properties || {};
    this.message = null;
    this.stack = null;
    this._isPromiseTest = false;
    /** What the test needs that this harness does not have, if it has asked for such a thing. */
    this._needs = null;
    /** Whether an assertion failed, and not something else. */
    this._isAsserted = false;
    suite.add(this);
  }

  format_status() {
    return WORDS[this.status];
  }

  /** Runs a piece of the test: if it throws, the test has failed. */
  step(func, receiver, ...args) {
    return this.#run(func, arguments.length === 1 ? this : receiver, args);
  }

  #run(func, receiver, args) {
    if (this.phase > PHASES.STARTED) return undefined;
    this.phase = PHASES.STARTED;
    // Unless something else comes.
    this.set_status(STATUSES.TIMEOUT, "Test timed out");
    suite.current = this;
    suite.notifyState(this);
    try {
      return func.apply(receiver, args);
    } catch (error) {
      if (this.phase >= PHASES.HAS_RESULT) return undefined;
      const isOptional = error instanceof OptionalFeatureUnsupportedError;
      this._isAsserted = error instanceof AssertionError;
      const isObject = typeof error === "object" && error !== null;
      const status = isOptional ? STATUSES.PRECONDITION_FAILED : STATUSES.FAIL;
      this._setResult(status, messageOf(error), isObject ? error.stack : null);
      this.done();
      return undefined;
    }
  }

  step_func(func, receiver) {
    const test = this;
    if (arguments.length === 1) receiver = this;
    return function (...args) {
      return test.#run(func, receiver, args);
    };
  }

  step_func_done(func, receiver) {
    const test = this;
    if (arguments.length <= 1) receiver = this;
    return function (...args) {
      if (func) test.#run(func, receiver, args);
      test.done();
    };
  }

  unreached_func(description) {
    return this.step_func(() => assert_unreached(description));
  }

  step_timeout(func, delay, ...args) {
    const step = this.step_func(() => func.apply(this, args));
    return setTimer(step, delay * suite.multiplier);
  }

  step_wait_func(condition, func, description, timeout = 3000, interval = 100) {
    let left = Math.ceil((timeout * suite.multiplier) / interval);
    const look = this.step_func(() => {
      resolved(condition()).then(answer, this.unreached_func("step_wait_func"));
    });
    const answer = this.step_func((holds) => {
      if (holds) {
        func();
        return;
      }
      if (left-- === 0) fail("step_wait_func", description, "Timed out waiting on condition");
      setTimer(look, interval);
    });
    look();
  }

  step_wait_func_done(condition, func, description, timeout = 3000, interval = 100) {
    const end = () => {
      if (func) func();
      this.done();
    };
    this.step_wait_func(condition, end, description, timeout, interval);
  }

  step_wait(condition, description, timeout = 3000, interval = 100) {
    return new Promise((resolve) => this.step_wait_func(condition, resolve, description, timeout, interval));
  }

  add_cleanup(callback) {
    this.#cleanups.push({ callback, own: false });
  }

  /** As `add_cleanup`, for the harness itself. */
  _add_cleanup(callback) {
    this.#cleanups.push({ callback, own: true });
  }

  set_status(status, message, stack) {
    this.status = status;
    this.message = message;
    this.stack = stack ?? null;
  }

  _setResult(status, message, stack) {
    this.set_status(status, message, stack);
    this.phase = PHASES.HAS_RESULT;
  }

  timeout() {
    this._setResult(STATUSES.TIMEOUT, "Test timed out");
    this.done();
  }

  force_timeout() {
    return this.timeout();
  }

  /** The test is over; it has passed if nothing else was said. */
  done() {
    if (this.phase >= PHASES.CLEANING) return;
    if (this.phase <= PHASES.STARTED) this.set_status(STATUSES.PASS, null);
    this._cleanUp();
  }

  /** A signal that aborts when the test is over. */
  get_signal() {
    this.#controller ??= new AbortController();
    if (this.phase >= PHASES.CLEANING) this.#controller.abort("Test cleanup");
    return this.#controller.signal;
  }

  _whenComplete(callback) {
    if (this.phase === PHASES.COMPLETE) callback();
    else this.#whenComplete.push(callback);
  }

  /** Runs what is to be run after the test. What fails there leaves nobody knows what: no further test runs. */
  _cleanUp() {
    const errors = [];
    let wrong = 0;
    const failed = (error) => {
      errors.push(error);
      suite.abort();
    };
    this.phase = PHASES.CLEANING;
    if (this.#controller !== null) this.#controller.abort("Test cleanup");
    const waits = [];
    for (let i = 0; i < this.#cleanups.length; i++) {
      let result;
      try {
        result = this.#cleanups[i].callback.call(undefined);
      } catch (error) {
        failed(error);
        continue;
      }
      if (result === undefined) continue;
      if (this._isPromiseTest && typeof result?.then === "function") {
        waits.push(result);
      } else {
        wrong++;
        suite.abort();
      }
    }
    const end = () => this.#isClean(errors, wrong);
    let left = waits.length;
    if (left === 0) end();
    for (let i = 0; i < waits.length; i++) {
      waits[i].then(null, failed).then(() => {
        if (--left === 0) end();
      });
    }
  }

  #isClean(errors, wrong) {
    if (errors.length > 0 || wrong > 0) {
      const number = this.#cleanups.filter(({ own }) => !own).length;
      let message = `Test named '${this.name}' specified ${number} 'cleanup' function${number > 1 ? "s" : ""}`;
      if (errors.length > 0) message += `, and ${errors.length} failed (${messageOf(errors[0])})`;
      const kind = this._isPromiseTest ? "non-thenable" : "non-undefined";
      if (wrong > 0) message += `, and ${wrong} returned a ${kind} value`;
      suite.setStatus(suite.status.ERROR, `${message}.`, errors[0]?.stack);
    }
    if (this.phase !== PHASES.COMPLETE) {
      this.phase = PHASES.COMPLETE;
      suite.result(this);
    }
    const callbacks = this.#whenComplete;
    this.#whenComplete = [];
    for (let i = 0; i < callbacks.length; i++) callbacks[i].call(undefined);
  }
}
Object.assign(Test.prototype, STATUSES, { phases: PHASES });

/** What a test that threw this says. */
function messageOf(error) {
  try {
    return String(typeof error === "object" && error !== null ? error.message : error);
  } catch {
    return "what it threw cannot be shown";
  }
}
