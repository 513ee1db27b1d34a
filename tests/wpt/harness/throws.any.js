// What is thrown, and what promises are rejected with.
const thrower = (value) => () => {
  throw value;
};
/** Declares the same test for what a function throws and for what a promise is rejected with. */
const both = (name, kind, before, value, after = []) => {
  test(() => self[`assert_throws_${kind}`](...before, thrower(value), ...after), name);
  const rejected = (t) => self[`promise_rejects_${kind}`](t, ...before, Promise.reject(value), ...after);
  promise_test(rejected, name.replace(": ", ": a promise, "));
};
class OwnError extends Error {}
class OtherException extends DOMException {}

both("holds: TypeError", "js", [TypeError], new TypeError());
both("fails: js, another class", "js", [TypeError], new RangeError());
both("fails: js, a subclass", "js", [Error], new OwnError());
both("fails: js, its name is another", "js", [TypeError], Object.assign(new TypeError(), { name: "x" }));
both("fails: js, no object", "js", [TypeError], "TypeError");
both("fails: js, null", "js", [TypeError], null);
both("fails: js, expected is no error", "js", [Array], []);

both("holds: dom, by name", "dom", ["AbortError"], new DOMException("", "AbortError"));
both("holds: dom, by old name", "dom", ["INVALID_STATE_ERR"], new DOMException("", "InvalidStateError"));
both("holds: dom, by odd old names", "dom", ["INUSE_ATTRIBUTE_ERR"], new DOMException("", "InUseAttributeError"));
both("holds: dom, by code", "dom", [8], new DOMException("", "NotFoundError"));
both("holds: dom, a name without a code", "dom", ["EncodingError"], new DOMException("", "EncodingError"));
both("holds: dom, of a class", "dom", ["SyntaxError", DOMException], new DOMException("", "SyntaxError"));
both("fails: dom, another name", "dom", ["AbortError"], new DOMException("", "TimeoutError"));
both("fails: dom, another class", "dom", ["AbortError"], new OtherException("", "AbortError"));
both("fails: dom, no DOMException", "dom", ["SyntaxError"], new SyntaxError());
both("fails: dom, expected is no name", "dom", ["NoSuchError"], new DOMException("", "AbortError"));
both("fails: dom, code 0", "dom", [0], new DOMException("", "EncodingError"));

const unique = {};
both("holds: exactly", "exactly", [unique], unique);
both("holds: exactly, NaN", "exactly", [NaN], NaN);
both("fails: exactly, another", "exactly", [unique], {});

test(() => assert_throws_js(TypeError, () => {}), "fails: js, nothing thrown");
test(() => assert_throws_dom("AbortError", () => {}), "fails: dom, nothing thrown");
test(() => assert_throws_exactly(1, () => {}), "fails: exactly, nothing thrown");
promise_test((t) => promise_rejects_js(t, TypeError, Promise.resolve()), "fails: js, not rejected");
promise_test((t) => promise_rejects_dom(t, "AbortError", Promise.resolve()), "fails: dom, not rejected");
promise_test((t) => promise_rejects_exactly(t, 1, Promise.resolve()), "fails: exactly, not rejected");
test(() => assert_throws_js(TypeError, () => assert_true(false)), "fails: an assertion within is the test's failure");
