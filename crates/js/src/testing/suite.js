// All tests of a file: when they begin, when they are done, and what becomes of the file itself.
// https://web-platform-tests.org/writing-tests/testharness-api.html
import { OptionalFeatureUnsupportedError } from "./assert.js";
import { plainStack, plainText, report } from "./host.js";

/** A test's phases, in order. */
export const PHASES = { INITIAL: 0, STARTED: 1, HAS_RESULT: 2, CLEANING: 3, COMPLETE: 4 };
/** What becomes of a file. */
const STATUSES = { OK: 0, ERROR: 1, TIMEOUT: 2, PRECONDITION_FAILED: 3 };

/** The phases of the suite. */
const [INITIAL, SETUP, HAVE_TESTS, HAVE_RESULTS, COMPLETE] = [0, 1, 2, 3, 4];

const status = { status: null, message: null, stack: null, ...STATUSES };
const tests = [];
const callbacks = { start: [], state: [], result: [], completion: [] };

let phase = INITIAL;
let properties = {};
let pending = 0;
let inCallbacks = false;
let finished;
const whenFinished = new Promise((resolve) => {
  finished = resolve;
});

/** Calls each function. Tests replace the iterator of arrays: what runs while they do uses none. */
function callAll(functions, ...args) {
  for (let i = 0; i < functions.length; i++) functions[i].apply(undefined, args);
}

export const suite = {
  tests,
  status,
  callbacks,
  whenFinished,
  /** Whether all of the file has run. */
  loaded: false,
  /** Whether a call of `done()` is awaited. */
  waits: false,
  /** Whether the file is one test, which `done()` ends. */
  isOneTest: false,
  aborted: false,
  allowsUncaught: false,
  explicitTimeout: false,
  multiplier: 1,
  /** The test that was last entered. */
  current: null,
  /** What runs the promise tests, one after the other; null while there is none. */
  promiseTests: null,
  promiseSetup: false,

  get isComplete() {
    return phase === COMPLETE;
  },

  setStatus(value, message, stack) {
    status.status = value;
    status.message = message;
    status.stack = stack ?? null;
  },

  /** An error of the file that ends it, and says more than any that comes. */
  endWithError(message, stack) {
    suite.setStatus(STATUSES.ERROR, message, stack);
    suite.complete();
  },

  add(test) {
    if (phase === COMPLETE) return;
    if (phase < HAVE_TESTS) {
      phase = HAVE_TESTS;
      callAll(callbacks.start, properties);
    }
    pending++;
    test.index = tests.push(test) - 1;
    suite.notifyState(test);
  },

  notifyState(test) {
    callAll(callbacks.state, test, suite);
  },

  setup(func, given) {
    if (phase >= HAVE_RESULTS) return;
    if (phase < SETUP) phase = SETUP;
    properties = given ?? {};
    const { allow_uncaught_exception, explicit_done, explicit_timeout, single_test, timeout_multiplier } = properties;
    if (allow_uncaught_exception !== undefined) suite.allowsUncaught = allow_uncaught_exception;
    if (explicit_done) suite.waits = true;
    if (explicit_timeout) suite.explicitTimeout = true;
    if (timeout_multiplier !== undefined) suite.multiplier = timeout_multiplier;
    if (single_test) suite.becomeOneTest();
    if (!func) return;
    try {
      func();
    } catch (error) {
      const isOptional = error instanceof OptionalFeatureUnsupportedError;
      suite.setStatus(isOptional ? STATUSES.PRECONDITION_FAILED : STATUSES.ERROR, String(error), error?.stack);
      suite.complete();
    }
  },

  becomeOneTest() {
    if (tests.length > 0) throw new Error("Tried to set file as test after creating a test");
    suite.waits = true;
    suite.isOneTest = true;
    suite.makeOneTest();
  },
  /** Makes the test that the file is; `tests.js` says how. */
  makeOneTest: null,

  /** A test's result is there. */
  result(test) {
    if (phase < HAVE_RESULTS) phase = HAVE_RESULTS;
    pending--;
    tell(test);
    inCallbacks = true;
    callAll(callbacks.result, test, suite);
    inCallbacks = false;
    suite.completeIfDone();
  },

  completeIfDone() {
    const isDone =
      tests.length > 0 && suite.loaded && (pending === 0 || suite.aborted) && !suite.waits && !inCallbacks;
    if (isDone) suite.complete();
  },

  /** `done()`: nothing more is awaited but the tests that are under way. */
  done() {
    if (tests.length === 0) {
      // After an uncaught exception that one says more.
      if (status.status === null) {
        suite.setStatus(STATUSES.ERROR, "done() was called without first defining any tests");
      }
      suite.complete();
      return;
    }
    if (suite.isOneTest) tests[0].done();
    suite.waits = false;
    suite.completeIfDone();
  },

  /** Something is broken beyond the test that broke it: no further test begins. */
  abort() {
    status.status = STATUSES.ERROR;
    suite.aborted = true;
    for (const test of tests) if (test.phase === PHASES.INITIAL) test.phase = PHASES.COMPLETE;
  },

  timeout() {
    if (status.status === null) {
      const cleaning = tests.find((test) => test.phase === PHASES.CLEANING);
      for (const test of tests) test.phase = PHASES.COMPLETE;
      if (cleaning === undefined) {
        status.status = STATUSES.TIMEOUT;
        if (tests.length === 0) status.message = "no test was defined";
      } else {
        suite.setStatus(STATUSES.ERROR, `Timeout while running cleanup for test named "${cleaning.name}".`);
      }
    }
    suite.complete();
  },

  /** Ends the file: what has not begun does not run, what is under way gets its cleanup. */
  complete() {
    if (phase === COMPLETE) return;
    const open = tests.filter((test) => test.phase < PHASES.COMPLETE);
    let left = open.length;
    if (left === 0) {
      finish();
      return;
    }
    const oneLess = () => {
      if (--left === 0) finish();
    };
    for (const test of open) {
      if (test.phase === PHASES.INITIAL) {
        test.phase = PHASES.HAS_RESULT;
        test.done();
        oneLess();
      } else {
        test._whenComplete(oneLess);
        if (test.phase < PHASES.CLEANING) test._cleanUp();
      }
    }
  },

  /** An exception that nothing caught, or a rejection that nothing handled. */
  uncaught(error, message, stack) {
    const isOptional = error instanceof OptionalFeatureUnsupportedError;
    if (suite.isOneTest) {
      const [test] = tests;
      if (test.phase >= PHASES.HAS_RESULT) return;
      test._setResult(isOptional ? test.PRECONDITION_FAILED : test.FAIL, message, stack);
    } else if (!suite.allowsUncaught) {
      suite.setStatus(isOptional ? STATUSES.PRECONDITION_FAILED : STATUSES.ERROR, message, stack);
    }
    if (!suite.allowsUncaught) suite.done();
  },
};

/** Tests whose result the host knows. */
const told = new Set();

/** Tells the host what became of a test. */
function tell(test) {
  if (told.has(test)) return;
  told.add(test);
  report({
    kind: "test",
    index: test.index,
    name: plainText(test.name),
    status: test.status,
    message: test.message === null ? null : plainText(test.message),
    stack: test.status === test.FAIL ? plainStack(test.stack) : null,
    needs: test._needs,
    isAsserted: test._isAsserted,
  });
}

/** Names that several tests have, in quotes. */
function duplicates() {
  const seen = new Set();
  const twice = new Set();
  for (const { name } of tests) (seen.has(name) ? twice : seen).add(name);
  return [...twice].map((name) => `"${name}"`);
}

function finish() {
  if (phase === COMPLETE) return;
  phase = COMPLETE;
  if (status.status === null) {
    const names = duplicates();
    if (names.length > 0) {
      const what = `${names.length} duplicate test name${names.length > 1 ? "s" : ""}: ${names.join(", ")}`;
      suite.setStatus(STATUSES.ERROR, what);
    } else {
      status.status = STATUSES.OK;
    }
  }
  for (const test of tests) tell(test);
  for (const callback of callbacks.completion) {
    try {
      callback(tests, status, []);
    } catch (error) {
      suite.setStatus(STATUSES.ERROR, `a completion callback threw ${String(error)}`, error?.stack);
    }
  }
  report({
    kind: "end",
    status: status.status,
    message: status.message === null ? null : plainText(status.message),
    stack: plainStack(status.stack),
  });
  finished();
}
