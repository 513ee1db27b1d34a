// Web IDL, 4.3 DOMException.
import { test, run, assert_equals, assert_true, assert_interface, assert_throws_js } from "./harness.js";

const CODES = {
  IndexSizeError: 1, HierarchyRequestError: 3, WrongDocumentError: 4, InvalidCharacterError: 5,
  NoModificationAllowedError: 7, NotFoundError: 8, NotSupportedError: 9, InUseAttributeError: 10,
  InvalidStateError: 11, SyntaxError: 12, InvalidModificationError: 13, NamespaceError: 14, InvalidAccessError: 15,
  TypeMismatchError: 17, SecurityError: 18, NetworkError: 19, AbortError: 20, URLMismatchError: 21,
  QuotaExceededError: 22, TimeoutError: 23, InvalidNodeTypeError: 24, DataCloneError: 25,
};

test(() => {
  assert_interface("DOMException", ["name", "message", "code"], { parent: Error.prototype });
}, "DOMException is an interface that inherits from Error.prototype");

test(() => {
  const e = new DOMException();
  assert_equals(e.message, "");
  assert_equals(e.name, "Error");
  assert_equals(e.code, 0);
}, "the arguments have defaults");

test(() => {
  const e = new DOMException("m", "AbortError");
  assert_true(e instanceof DOMException);
  assert_true(e instanceof Error);
  assert_equals(String(e), "AbortError: m");
  assert_equals(Object.prototype.toString.call(e), "[object DOMException]");
  assert_equals(typeof e.stack, "string");
  assert_true(e.stack.startsWith("AbortError: m"), e.stack);
}, "an instance is an error with a stack");

test(() => {
  for (const [name, code] of Object.entries(CODES)) assert_equals(new DOMException("", name).code, code, name);
  for (const name of ["EncodingError", "NotReadableError", "OperationError", "NotAllowedError", "Foo", "toString"]) {
    assert_equals(new DOMException("", name).code, 0, name);
  }
}, "old names have codes, new ones have none");

test(() => {
  assert_equals(DOMException.ABORT_ERR, 20);
  assert_equals(DOMException.prototype.DATA_CLONE_ERR, 25);
  const { writable, configurable, enumerable } = Object.getOwnPropertyDescriptor(DOMException, "INDEX_SIZE_ERR");
  assert_equals(`${writable} ${configurable} ${enumerable}`, "false false true");
  assert_equals(Object.keys(DOMException).length, 25);
}, "the constants are on the interface and its prototype");

test(() => {
  assert_equals(new DOMException(null, undefined).message, "null");
  assert_equals(new DOMException(undefined, null).name, "null");
  assert_throws_js(TypeError, () => new DOMException(Symbol()));
}, "the arguments are converted to strings");

test(() => {
  class Mine extends DOMException {}
  const e = new Mine("m", "n");
  assert_true(e instanceof Mine);
  assert_equals(e.message, "m");
}, "it can be derived from");

test(() => {
  assert_interface("QuotaExceededError", ["quota", "requested"], { parent: DOMException.prototype });
  const empty = new QuotaExceededError();
  assert_equals(`${empty.name} ${empty.code} ${empty.message} ${empty.quota} ${empty.requested}`, "QuotaExceededError 22  null null");
  const full = new QuotaExceededError("m", { quota: 10, requested: "12.5" });
  assert_equals(`${full.message} ${full.quota} ${full.requested}`, "m 10 12.5");
  assert_true(full instanceof DOMException && full instanceof Error);
  assert_throws_js(RangeError, () => new QuotaExceededError("", { quota: -1 }));
  assert_throws_js(RangeError, () => new QuotaExceededError("", { requested: -1 }));
  assert_throws_js(RangeError, () => new QuotaExceededError("", { quota: 2, requested: 1 }));
  assert_throws_js(TypeError, () => new QuotaExceededError("", { quota: NaN }));
  assert_throws_js(TypeError, () => new QuotaExceededError("", 1));
}, "QuotaExceededError");

export default run;
