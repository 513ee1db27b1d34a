// Each assertion, where it holds and where it does not.
let number = 0;
const holds = (name, ...args) => test(() => self[name](...args), `${name} holds, ${++number}`);
const fails = (name, ...args) => test(() => self[name](...args), `fails: ${name}, ${++number}`);

holds("assert_true", true);
fails("assert_true", 1);
holds("assert_false", false);
fails("assert_false", 0);
holds("assert_equals", NaN, NaN);
fails("assert_equals", 0, -0);
fails("assert_equals", "1", 1);
holds("assert_not_equals", 0, -0);
fails("assert_not_equals", NaN, NaN);
holds("assert_in_array", 2, [1, 2]);
fails("assert_in_array", 3, [1, 2]);
holds("assert_object_equals", { a: { b: 1 } }, { a: { b: 1 } });
fails("assert_object_equals", { a: { b: 1 } }, { a: { b: 2 } });
fails("assert_object_equals", { a: 1 }, { a: 1, b: undefined });
fails("assert_object_equals", { a: 1, b: undefined }, { a: 1 });
fails("assert_object_equals", null, {});
holds("assert_array_equals", [1, NaN, -0], [1, NaN, -0]);
holds("assert_array_equals", new Uint8Array([1, 2]), [1, 2]);
fails("assert_array_equals", [1, 2], [1, 2, 3]);
fails("assert_array_equals", [0], [-0]);
fails("assert_array_equals", [,], [undefined]);
fails("assert_array_equals", undefined, []);
holds("assert_array_approx_equals", [1, 2], [1.1, 1.9], 0.2);
fails("assert_array_approx_equals", [1, 2], [1.1, 2.9], 0.2);
fails("assert_array_approx_equals", [1, "2"], [1, 2], 1);
holds("assert_approx_equals", 1, 1.1, 0.2);
holds("assert_approx_equals", NaN, NaN, 0);
fails("assert_approx_equals", 1, 1.3, 0.2);
fails("assert_approx_equals", NaN, 1, 1);
holds("assert_less_than", 1, 2);
fails("assert_less_than", 2, 2);
fails("assert_less_than", 1, 2n);
holds("assert_greater_than", 2n, 1n);
fails("assert_greater_than", "2", 1);
holds("assert_less_than_equal", 2, 2);
fails("assert_less_than_equal", 3, 2);
holds("assert_greater_than_equal", 2, 2);
fails("assert_greater_than_equal", 1, 2);
holds("assert_between_exclusive", 2, 1, 3);
fails("assert_between_exclusive", 1, 1, 3);
holds("assert_between_inclusive", 1, 1, 3);
fails("assert_between_inclusive", 4, 1, 3);
fails("assert_between_inclusive", 2, 1, 3n);
holds("assert_regexp_match", "abc", /b/);
fails("assert_regexp_match", "abc", /d/);
holds("assert_class_string", [], "Array");
fails("assert_class_string", [], "Object");
holds("assert_own_property", { a: 1 }, "a");
fails("assert_own_property", {}, "toString");
holds("assert_not_own_property", {}, "toString");
fails("assert_not_own_property", { a: 1 }, "a");
for (const name of ["assert_inherits", "assert_idl_attribute"]) {
  holds(name, {}, "toString");
  fails(name, { toString: 1 }, "toString");
  fails(name, {}, "gone");
  fails(name, 1, "toString");
}
holds("assert_readonly", Object.freeze({ a: 1 }), "a");
holds("assert_readonly", Object.create({ get a() { return 1; } }), "a");
fails("assert_readonly", { a: 1 }, "a");
fails("assert_readonly", { get a() { return 1; }, set a(value) {} }, "a");
fails("assert_readonly", {}, "a");
fails("assert_unreached", "here");
holds("assert_any", assert_equals, 2, [1, 2]);
fails("assert_any", assert_equals, 3, [1, 2]);
holds("assert_implements", {}, "there");
fails("assert_implements", undefined, "gone");
holds("assert_implements_optional", {}, "there");
test(() => assert_implements_optional(false, "not here"), "optional: assert_implements_optional");

test(() => {
  let error;
  try {
    assert_equals(1, 2, "why");
  } catch (thrown) {
    error = thrown;
  }
  assert_true(error instanceof AssertionError && error instanceof Error);
  assert_equals(error.message, "assert_equals: why expected 2 but got 1");
}, "what a failed assertion throws says what, why and where");

test(() => {
  const loop = [1];
  loop.push(loop);
  const cases = [
    ["a\"\\\n\0\x01\x1f\u{fffe}ä", "\"a\\\"\\\\\\n\\0\\x01\\x1f\\ufffeä\""],
    [-0, "-0"],
    [5n, "5n"],
    [null, "null"],
    [undefined, "undefined"],
    [[1, ["a"]], '[1, ["a"]]'],
    [loop, "[1, [...]]"],
    [{}, 'object "[object Object]"'],
    [Symbol("s"), 'symbol "Symbol(s)"'],
    [{ toString() { throw 1; } }, "[stringifying object threw 1 with type number]"],
  ];
  for (const [value, text] of cases) assert_equals(format_value(value), text);
}, "format_value shows values unambiguously");
