// Tests replace built-ins; the harness goes on.
const { iterator } = Symbol;
const original = Array.prototype[iterator];
/** Runs a function while arrays cannot be iterated over. */
const withoutIterator = (t, run) => {
  t.add_cleanup(() => {
    Array.prototype[iterator] = original;
  });
  Array.prototype[iterator] = () => {
    throw new Error("the iterator of arrays");
  };
  run();
};

test((t) => {
  withoutIterator(t, () => {
    assert_array_equals([1, 2], [1, 2]);
    assert_throws_js(TypeError, () => null.x);
    assert_throws_dom("AbortError", () => {
      throw new DOMException("", "AbortError");
    });
    t.step_func((a, b) => assert_equals(a + b, 3))(1, 2);
  });
}, "the iterator of arrays");
async_test((t) => {
  withoutIterator(t, () => t.step_func_done(() => {})());
}, "the iterator of arrays, in an asynchronous test");
test((t) => {
  const names = ["then", "status", "name", "message", "kind", "index", "stack", "value", "get", "writable"];
  t.add_cleanup(() => {
    for (const name of names) delete Object.prototype[name];
  });
  for (const name of names) Object.prototype[name] = "of all objects";
  assert_true(true);
}, "properties of all objects");
