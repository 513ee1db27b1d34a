// The assertions of testharness.js, by their names there.
// https://web-platform-tests.org/writing-tests/testharness-api.html#assertions
import { format_around, format_value as show } from "./format.js";
import { plainText } from "./host.js";

/** What a failed assertion throws. */
export class AssertionError extends Error {
  constructor(message) {
    super(plainText(message));
  }
}
const named = { value: "AssertionError", writable: true, configurable: true };
Object.defineProperty(AssertionError.prototype, "name", named);

/** What `assert_implements_optional` throws. */
export class OptionalFeatureUnsupportedError extends AssertionError {}

const { hasOwn, getPrototypeOf, getOwnPropertyDescriptor, is } = Object;

/** Fails the running test: `name` is the assertion's, `description` what the test says of it. */
export function fail(name, description, what) {
  throw new AssertionError(`${name}: ${description ? `${description} ` : ""}${what}`);
}

export function assert_true(actual, description) {
  if (actual !== true) fail("assert_true", description, `expected true got ${show(actual)}`);
}

export function assert_false(actual, description) {
  if (actual !== false) fail("assert_false", description, `expected false got ${show(actual)}`);
}

export function assert_equals(actual, expected, description) {
  if (is(actual, expected)) return;
  const [of, was] = typeof actual === typeof expected ? ["", ""] : [`(${typeof expected}) `, `(${typeof actual}) `];
  fail("assert_equals", description, `expected ${of}${show(expected)} but got ${was}${show(actual)}`);
}

export function assert_not_equals(actual, expected, description) {
  if (is(actual, expected)) fail("assert_not_equals", description, `got disallowed value ${show(actual)}`);
}

export function assert_in_array(actual, expected, description) {
  if (expected.indexOf(actual) === -1) {
    fail("assert_in_array", description, `value ${show(actual)} not in array ${show(expected)}`);
  }
}

export function assert_object_equals(actual, expected, description) {
  const name = "assert_object_equals";
  const isObject = (value) => typeof value === "object" && value !== null;
  if (!isObject(actual)) fail(name, description, `value is ${show(actual)}, expected object`);
  const around = [];
  const compare = (actual, expected) => {
    around.push(actual);
    for (const key in actual) {
      if (!hasOwn(expected, key)) fail(name, description, `unexpected property ${show(key)}`);
      if (isObject(actual[key])) {
        if (!around.includes(actual[key])) compare(actual[key], expected[key]);
      } else if (!is(actual[key], expected[key])) {
        const what = `property ${show(key)} expected ${show(expected[key])} got ${show(actual[key])}`;
        fail(name, description, what);
      }
    }
    for (const key in expected) {
      if (!hasOwn(actual, key)) fail(name, description, `expected property ${show(key)} missing`);
    }
    around.pop();
  };
  compare(actual, expected);
}

export function assert_array_equals(actual, expected, description) {
  const name = "assert_array_equals";
  if (typeof actual !== "object" || actual === null || !("length" in actual)) {
    fail(name, description, `value is ${show(actual)}, expected array`);
  }
  if (actual.length !== expected.length) {
    const [of, was] = [format_around(expected, expected.length - 1), format_around(actual, actual.length - 1)];
    const what = `lengths differ, expected array ${of} length ${expected.length}, got ${was} length ${actual.length}`;
    fail(name, description, what);
  }
  const context = (i) => `(expected array ${format_around(expected, i)} got ${format_around(actual, i)})`;
  const presence = (there) => (there ? "present" : "missing");
  for (let i = 0; i < actual.length; i++) {
    const was = hasOwn(actual, i);
    const of = hasOwn(expected, i);
    if (was !== of) {
      fail(name, description, `expected property ${i} to be ${presence(of)} but was ${presence(was)} ${context(i)}`);
    }
    if (!is(expected[i], actual[i])) {
      const what = `expected property ${i} to be ${show(expected[i])} but got ${show(actual[i])} ${context(i)}`;
      fail(name, description, what);
    }
  }
}

export function assert_array_approx_equals(actual, expected, epsilon, description) {
  const name = "assert_array_approx_equals";
  if (actual.length !== expected.length) {
    fail(name, description, `lengths differ, expected ${expected.length} got ${actual.length}`);
  }
  for (let i = 0; i < actual.length; i++) {
    if (hasOwn(actual, i) !== hasOwn(expected, i)) {
      fail(name, description, `property ${i} is there in one of them only`);
    }
    if (typeof actual[i] !== "number") {
      fail(name, description, `property ${i}, expected a number but got a ${typeof actual[i]}`);
    }
    if (!(Math.abs(actual[i] - expected[i]) <= epsilon)) {
      fail(name, description, `property ${i}, expected ${expected[i]} +/- ${epsilon} but got ${show(actual[i])}`);
    }
  }
}

export function assert_approx_equals(actual, expected, epsilon, description) {
  const name = "assert_approx_equals";
  if (typeof actual !== "number") fail(name, description, `expected a number but got a ${typeof actual}`);
  const near = isFinite(actual) || isFinite(expected) ? Math.abs(actual - expected) <= epsilon : is(actual, expected);
  if (!near) fail(name, description, `expected ${show(expected)} +/- ${epsilon} but got ${show(actual)}`);
}

function isNumeric(name, actual, other, description) {
  if (typeof actual !== "number" && typeof actual !== "bigint") {
    fail(name, description, `expected a number but got a ${typeof actual}`);
  }
  if (typeof actual !== typeof other) fail(name, description, `expected a ${typeof other} but got a ${typeof actual}`);
}

const comparison = (name, words, holds) =>
  ({
    [name](actual, expected, description) {
      isNumeric(name, actual, expected, description);
      if (!holds(actual, expected)) {
        fail(name, description, `expected a number ${words} ${show(expected)} but got ${show(actual)}`);
      }
    },
  })[name];

const between = (name, words, holds) =>
  ({
    [name](actual, lower, upper, description) {
      if (typeof lower !== typeof upper) {
        fail(name, description, `the test's bounds differ in type: ${typeof lower} and ${typeof upper}`);
      }
      isNumeric(name, actual, lower, description);
      if (!holds(actual, lower, upper)) {
        const [least, most] = words;
        const what = `expected a number ${least} ${show(lower)} and ${most} ${show(upper)} but got ${show(actual)}`;
        fail(name, description, what);
      }
    },
  })[name];

export const assert_less_than = comparison("assert_less_than", "less than", (a, b) => a < b);
export const assert_greater_than = comparison("assert_greater_than", "greater than", (a, b) => a > b);
export const assert_less_than_equal =
  comparison("assert_less_than_equal", "less than or equal to", (a, b) => a <= b);
export const assert_greater_than_equal =
  comparison("assert_greater_than_equal", "greater than or equal to", (a, b) => a >= b);
export const assert_between_exclusive =
  between("assert_between_exclusive", ["greater than", "less than"], (a, low, high) => a > low && a < high);
export const assert_between_inclusive = between(
  "assert_between_inclusive",
  ["greater than or equal to", "less than or equal to"],
  (a, low, high) => a >= low && a <= high,
);

export function assert_regexp_match(actual, expected, description) {
  if (!expected.test(actual)) {
    fail("assert_regexp_match", description, `expected ${show(expected)} but got ${show(actual)}`);
  }
}

const { toString } = Object.prototype;
const classOf = Function.prototype.call.bind(toString);

export function assert_class_string(object, className, description) {
  const actual = classOf(object);
  const expected = `[object ${className}]`;
  if (actual !== expected) {
    fail("assert_class_string", description, `expected ${show(expected)} but got ${show(actual)}`);
  }
}

export function assert_own_property(object, property, description) {
  if (!hasOwn(object, property)) {
    fail("assert_own_property", description, `expected property ${show(property)} missing`);
  }
}

export function assert_not_own_property(object, property, description) {
  if (hasOwn(object, property)) {
    fail("assert_not_own_property", description, `unexpected property ${show(property)} is found on object`);
  }
}

const inherits = (name) =>
  ({
    [name](object, property, description) {
      if ((typeof object !== "object" || object === null) && typeof object !== "function") {
        fail(name, description, "provided value is not an object");
      }
      if (hasOwn(object, property)) {
        fail(name, description, `property ${show(property)} found on object expected in prototype chain`);
      }
      if (!(property in object)) fail(name, description, `property ${show(property)} not found in prototype chain`);
    },
  })[name];

export const assert_inherits = inherits("assert_inherits");
export const assert_idl_attribute = inherits("assert_idl_attribute");

export function assert_readonly(object, property, description) {
  const name = "assert_readonly";
  if (!(property in object)) fail(name, description, `property ${show(property)} not found`);
  let descriptor;
  for (let holder = object; holder !== null && descriptor === undefined; holder = getPrototypeOf(holder)) {
    descriptor = getOwnPropertyDescriptor(holder, property);
  }
  if (descriptor === undefined) fail(name, description, `could not find a descriptor for property ${show(property)}`);
  if (hasOwn(descriptor, "value") ? descriptor.writable : descriptor.set !== undefined) {
    fail(name, description, `property ${show(property)} can be set`);
  }
}

export function assert_unreached(description) {
  fail("assert_unreached", description, "Reached unreachable code");
}

export function assert_any(check, actual, expected, ...more) {
  const messages = [];
  let passed = false;
  for (const one of expected) {
    try {
      check(actual, one, ...more);
      passed = true;
    } catch (error) {
      messages.push(error.message);
    }
  }
  if (!passed) throw new AssertionError(messages.join("\n\n"));
}

export function assert_implements(condition, description) {
  if (!condition) fail("assert_implements", description, "");
}

export function assert_implements_optional(condition, description) {
  if (!condition) throw new OptionalFeatureUnsupportedError(description);
}
