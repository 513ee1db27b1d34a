// A small harness in the style of the web platform tests' testharness.js. A test file is an app's main module:
// it declares its tests and ends in `export default run;`. A request runs them, in order, and is answered with
// `[{ "name": …, "ok": true | false, "message": … }, …]`.

const tests = [];

/** Declares a test; `body` fails it by throwing. */
export function test(body, name) {
  tests.push({ body, name });
}

/** Declares a test whose `body` returns a promise. */
export function promise_test(body, name) {
  tests.push({ body, name });
}

/** How long a test may take that waits for something. */
const PATIENCE = 5_000;

export const run = {
  async fetch() {
    const results = [];
    for (const { body, name } of tests) {
      let timer;
      const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`not done within ${PATIENCE} ms`)), PATIENCE);
      });
      try {
        await Promise.race([body(), late]);
        results.push({ name, ok: true, message: "" });
      } catch (error) {
        const message = error instanceof Error ? `${error.stack ?? error}` : `threw ${String(error)}`;
        results.push({ name, ok: false, message });
      } finally {
        clearTimeout(timer);
      }
    }
    return Response.json(results);
  },
};

class AssertionError extends Error {
  name = "AssertionError";
}

function show(value) {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "object" && value !== null) {
    try {
      return `${Object.prototype.toString.call(value)} ${JSON.stringify(value)}`;
    } catch {
      return Object.prototype.toString.call(value);
    }
  }
  return Object.is(value, -0) ? "-0" : String(value);
}

function fail(message, description) {
  throw new AssertionError(description === undefined ? message : `${description}: ${message}`);
}

export function assert_true(actual, description) {
  if (actual !== true) fail(`expected true, got ${show(actual)}`, description);
}

export function assert_false(actual, description) {
  if (actual !== false) fail(`expected false, got ${show(actual)}`, description);
}

export function assert_equals(actual, expected, description) {
  if (!Object.is(actual, expected)) fail(`expected ${show(expected)}, got ${show(actual)}`, description);
}

export function assert_not_equals(actual, expected, description) {
  if (Object.is(actual, expected)) fail(`expected anything but ${show(expected)}`, description);
}

export function assert_array_equals(actual, expected, description) {
  if (typeof actual !== "object" || actual === null || !("length" in actual)) {
    fail(`expected an array, got ${show(actual)}`, description);
  }
  assert_equals(actual.length, expected.length, `${description ?? "array"}: length`);
  for (let i = 0; i < expected.length; i++) {
    assert_equals(actual[i], expected[i], `${description ?? "array"}: element ${i}`);
  }
}

export function assert_unreached(description) {
  fail("reached what must not be reached", description);
}

function check_throws_js(constructor, error, description) {
  if (typeof error !== "object" || error === null || error.constructor !== constructor) {
    fail(`expected a ${constructor.name}, got ${show(error)} ${error?.name ?? ""} ${error?.message ?? ""}`, description);
  }
}

function check_throws_dom(name, error, description) {
  if (!(error instanceof DOMException) || error.name !== name) {
    fail(`expected a DOMException "${name}", got ${show(error)} ${error?.name ?? ""}`, description);
  }
}

const NOTHING = Symbol("nothing thrown");

function thrown_by(body, description) {
  let thrown = NOTHING;
  try {
    body();
  } catch (error) {
    thrown = error;
  }
  if (thrown === NOTHING) fail("expected an exception", description);
  return thrown;
}

async function rejection_of(promise, description) {
  let reason = NOTHING;
  try {
    await promise;
  } catch (error) {
    reason = error;
  }
  if (reason === NOTHING) fail("expected a rejection", description);
  return reason;
}

/** `body` throws an exception of exactly this constructor. */
export function assert_throws_js(constructor, body, description) {
  check_throws_js(constructor, thrown_by(body, description), description);
}

/** `body` throws a DOMException of this name. */
export function assert_throws_dom(name, body, description) {
  check_throws_dom(name, thrown_by(body, description), description);
}

/** `body` throws this very value. */
export function assert_throws_exactly(value, body, description) {
  assert_equals(thrown_by(body, description), value, description);
}

export async function promise_rejects_js(constructor, promise, description) {
  check_throws_js(constructor, await rejection_of(promise, description), description);
}

export async function promise_rejects_dom(name, promise, description) {
  check_throws_dom(name, await rejection_of(promise, description), description);
}

export async function promise_rejects_exactly(value, promise, description) {
  assert_equals(await rejection_of(promise, description), value, description);
}

/** Resolves after `ms` milliseconds. */
export function delay(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Lets pending microtasks run, a few levels deep. */
export async function flush_microtasks() {
  for (let i = 0; i < 20; i++) await undefined;
}

/**
 * Checks what Web IDL says of an interface and its members: the global's and the members' property attributes, the
 * tag, and that attributes refuse other objects. `members` are names of attributes and operations.
 */
export function assert_interface(name, members, { parent = null, length = 0 } = {}) {
  const global = Object.getOwnPropertyDescriptor(globalThis, name);
  assert_true(global !== undefined, `${name} is a global`);
  assert_false(global.enumerable, `${name} is not enumerable`);
  const Class = globalThis[name];
  assert_equals(typeof Class, "function", `${name} is a function`);
  assert_equals(Class.name, name, "its name");
  assert_equals(Class.length, length, "its length");
  const { prototype } = Class;
  assert_false(Object.getOwnPropertyDescriptor(Class, "prototype").writable, "prototype is not writable");
  assert_equals(prototype[Symbol.toStringTag], name, "the tag");
  assert_equals(Object.getPrototypeOf(prototype), parent === null ? Object.prototype : parent, "the prototype's parent");
  for (const member of members) {
    const descriptor = Object.getOwnPropertyDescriptor(prototype, member);
    assert_true(descriptor !== undefined, `${name} has ${member}`);
    assert_true(descriptor.enumerable, `${member} is enumerable`);
    assert_true(descriptor.configurable, `${member} is configurable`);
    if (descriptor.get !== undefined) {
      assert_throws_js(TypeError, () => descriptor.get.call({}), `${member} refuses other objects`);
    }
  }
  assert_throws_js(TypeError, () => Class(), `${name} is called with new only`);
}
