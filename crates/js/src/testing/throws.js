// The assertions of testharness.js about what is thrown, and what promises are rejected with.
// https://web-platform-tests.org/writing-tests/testharness-api.html#assertions
import { AssertionError, fail } from "./assert.js";
import { format_value as show } from "./format.js";

const { is, getPrototypeOf } = Object;

/** The codes that DOMExceptions have. https://webidl.spec.whatwg.org/#dfn-error-names-table */
const CODES = {
  __proto__: null,
  IndexSizeError: 1,
  HierarchyRequestError: 3,
  WrongDocumentError: 4,
  InvalidCharacterError: 5,
  NoModificationAllowedError: 7,
  NotFoundError: 8,
  NotSupportedError: 9,
  InUseAttributeError: 10,
  InvalidStateError: 11,
  SyntaxError: 12,
  InvalidModificationError: 13,
  NamespaceError: 14,
  InvalidAccessError: 15,
  TypeMismatchError: 17,
  SecurityError: 18,
  NetworkError: 19,
  AbortError: 20,
  URLMismatchError: 21,
  QuotaExceededError: 22,
  TimeoutError: 23,
  InvalidNodeTypeError: 24,
  DataCloneError: 25,
  EncodingError: 0,
  NotReadableError: 0,
  UnknownError: 0,
  ConstraintError: 0,
  DataError: 0,
  TransactionInactiveError: 0,
  ReadOnlyError: 0,
  VersionError: 0,
  OperationError: 0,
  NotAllowedError: 0,
  OptOutError: 0,
};

/** `INVALID_STATE_ERR` for `InvalidStateError`, and so on. */
const LEGACY = { __proto__: null };
for (const name in CODES) {
  if (CODES[name] === 0) continue;
  const words = name.slice(0, -"Error".length).replace(/^InUse/, "Inuse").replace(/^URLMismatch/, "UrlMismatch");
  LEGACY[`${words.replace(/(?<=.)[A-Z]/g, "_$&").toUpperCase()}_ERR`] = name;
}

function nameOfType(type) {
  if (typeof type === "number") {
    for (const name in CODES) if (type !== 0 && CODES[name] === type) return name;
  } else if (typeof type === "string") {
    const name = LEGACY[type] ?? type;
    if (name in CODES) return name;
  }
  throw new AssertionError(`Test bug: ${show(type)} is no name or code of a DOMException`);
}

/** Runs `func`; `check` looks at what it throws. */
function expectThrow(name, func, description, check) {
  let error;
  try {
    func.call(undefined);
  } catch (thrown) {
    // An assertion in the function that fails is the test's failure.
    if (thrown instanceof AssertionError) throw thrown;
    error = { thrown };
  }
  if (error === undefined) fail(name, description, `${show(func)} did not throw`);
  check(error.thrown);
}

function expectObject(name, func, description, thrown) {
  if (typeof thrown !== "object" || thrown === null) {
    const what = thrown === null ? "null" : `${show(thrown)} with type ${typeof thrown}`;
    fail(name, description, `${show(func)} threw ${what}, not an object`);
  }
}

function throwsJs(name, constructor, func, description) {
  expectThrow(name, func, description, (thrown) => {
    expectObject(name, func, description, thrown);
    if (typeof constructor !== "function") fail(name, description, `${show(constructor)} is not a constructor`);
    let base = constructor;
    while (base !== null && !(typeof base === "function" && base.name === "Error")) base = getPrototypeOf(base);
    if (base === null) fail(name, description, `${show(constructor)} is not an Error subtype`);
    if (thrown.constructor !== constructor || thrown.name !== constructor.name) {
      const was = `${show(thrown)} (${show(thrown.name)})`;
      fail(name, description, `${show(func)} threw ${was} expected instance of ${constructor.name}`);
    }
  });
}

function throwsDom(name, type, func, description, constructor) {
  expectThrow(name, func, description, (thrown) => {
    expectObject(name, func, description, thrown);
    const expected = nameOfType(type);
    const complain = (property, value) => {
      const was = `property "${property}" is equal to ${show(thrown[property])}, expected ${show(value)}`;
      fail(name, description, `${show(func)} threw ${show(thrown)} that is not a DOMException ${type}: ${was}`);
    };
    const code = CODES[expected];
    if ((typeof type === "string" || code !== 0) && thrown.code !== code) complain("code", code);
    const { name: ownName } = thrown;
    const isNew = typeof ownName === "string" && ownName !== ownName.toUpperCase() && ownName !== "DOMException";
    if ((code === 0 || isNew) && ownName !== expected) complain("name", expected);
    const right =
      thrown.constructor === constructor ||
      // It was a name of DOMException before it became a class.
      (expected === "QuotaExceededError" && thrown.constructor === globalThis.QuotaExceededError);
    if (!right) fail(name, description, `${show(func)} threw an exception from the wrong global`);
  });
}

function throwsQuota(name, func, requested, quota, description, constructor) {
  expectThrow(name, func, description, (thrown) => {
    expectObject(name, func, description, thrown);
    const expected = { __proto__: null, code: 22, name: "QuotaExceededError", requested, quota };
    for (const property in expected) {
      const wanted = expected[property];
      const holds = typeof wanted === "function" ? wanted(thrown[property]) : thrown[property] === wanted;
      if (property in thrown && holds) continue;
      const was = `property "${property}" is equal to ${show(thrown[property])}, expected ${show(wanted)}`;
      fail(name, description, `${show(func)} threw ${show(thrown)} that is not a correct QuotaExceededError: ${was}`);
    }
    if (thrown.constructor !== constructor) {
      fail(name, description, `${show(func)} threw an exception from the wrong global`);
    }
  });
}

function throwsExactly(name, exception, func, description) {
  expectThrow(name, func, description, (thrown) => {
    if (!is(thrown, exception)) {
      const what = `${show(func)} threw ${show(thrown)} but we expected it to throw ${show(exception)}`;
      fail(name, description, what);
    }
  });
}

/** Arguments may begin with the class of another global, of this name: gives it, and the others. */
function withConstructor(name, args, most) {
  // Tests replace the iterator of arrays: no spreading and no destructuring here.
  if (typeof args[0] === "function" && args[0].name === name) return args;
  if (args[most] !== undefined) throw new AssertionError("Test bug: too many arguments");
  const all = { __proto__: null, 0: globalThis[name] };
  for (let i = 0; i < args.length; i++) all[i + 1] = args[i];
  return all;
}

export function assert_throws_js(constructor, func, description) {
  throwsJs("assert_throws_js", constructor, func, description);
}

export function assert_throws_dom(type, ...args) {
  const { 0: constructor, 1: func, 2: description } = withConstructor("DOMException", args, 2);
  throwsDom("assert_throws_dom", type, func, description, constructor);
}

export function assert_throws_quotaexceedederror(...args) {
  const all = withConstructor("QuotaExceededError", args, 4);
  const { 0: constructor, 1: func, 2: requested, 3: quota, 4: description } = all;
  throwsQuota("assert_throws_quotaexceedederror", func, requested, quota, description, constructor);
}

export function assert_throws_exactly(exception, func, description) {
  throwsExactly("assert_throws_exactly", exception, func, description);
}

/** What files of before 2020 say: `expected` is the name of a DOMException, or an error, whose name counts. */
function throwsOld(name, expected, func, description) {
  if (typeof expected === "string") {
    throwsDom(name, expected, func, description, globalThis.DOMException);
    return;
  }
  expectThrow(name, func, description, (thrown) => {
    if (typeof expected !== "object" || expected === null) return;
    if (typeof thrown !== "object" || thrown === null || thrown.name !== expected.name) {
      fail(name, description, `${show(func)} threw ${show(thrown)} but we expected ${show(expected)}`);
    }
  });
}

export function assert_throws(expected, func, description) {
  throwsOld("assert_throws", expected, func, description);
}

/** Waits for a promise that is to be rejected; `check` gets a function that throws what it is rejected with. */
function rejects(test, promise, description, check) {
  // A promise of this global, in any case.
  const own = new Promise((resolve, reject) => promise.then(resolve, reject));
  return own.then(test.unreached_func(`Should have rejected: ${description}`)).catch((error) => {
    check(() => {
      throw error;
    });
  });
}

export function promise_rejects_js(test, constructor, promise, description) {
  return rejects(test, promise, description, (func) => throwsJs("promise_rejects_js", constructor, func, description));
}

export function promise_rejects_dom(test, type, ...args) {
  const { 0: constructor, 1: promise, 2: description } = withConstructor("DOMException", args, 2);
  const check = (func) => throwsDom("promise_rejects_dom", type, func, description, constructor);
  return rejects(test, promise, description, check);
}

export function promise_rejects_quotaexceedederror(test, ...args) {
  const all = withConstructor("QuotaExceededError", args, 4);
  const { 0: constructor, 1: promise, 2: requested, 3: quota, 4: description } = all;
  const name = "promise_rejects_quotaexceedederror";
  const check = (func) => throwsQuota(name, func, requested, quota, description, constructor);
  return rejects(test, promise, description, check);
}

export function promise_rejects_exactly(test, exception, promise, description) {
  const check = (func) => throwsExactly("promise_rejects_exactly", exception, func, description);
  return rejects(test, promise, description, check);
}

export function promise_rejects(test, expected, promise, description) {
  return rejects(test, promise, description, (func) => throwsOld("promise_rejects", expected, func, description));
}
