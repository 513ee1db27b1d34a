// Headers. https://fetch.spec.whatwg.org/#headers-class
import { run, test, assert_equals, assert_array_equals, assert_true, assert_throws_js } from "./harness.js";

test(() => {
  for (const init of [{ A: "1", b: "2" }, [["A", "1"], ["b", "2"]], new Headers({ A: "1", b: "2" }), new Map([["A", "1"], ["b", "2"]])]) {
    assert_array_equals([...new Headers(init)].flat(), ["a", "1", "b", "2"]);
  }
  assert_throws_js(TypeError, () => new Headers([["a"]]));
  assert_throws_js(TypeError, () => new Headers(1));
}, "headers are made of a record, pairs, or headers");

test(() => {
  const headers = new Headers();
  headers.append("X", " 1\t");
  headers.append("x", "2");
  assert_equals(headers.get("X"), "1, 2");
  headers.set("x", "3");
  assert_equals(headers.get("x"), "3");
  assert_true(headers.has("X"));
  headers.delete("X");
  assert_equals(headers.get("x"), null);
}, "values are combined, replaced and removed whatever the name's case");

test(() => {
  const headers = new Headers([["set-cookie", "a"], ["b", "1"], ["Set-Cookie", "c"], ["a", "2"]]);
  assert_array_equals(headers.getSetCookie(), ["a", "c"]);
  assert_array_equals([...headers.keys()], ["a", "b", "set-cookie", "set-cookie"]);
}, "iteration sorts by name and keeps cookies apart");

test(() => {
  const headers = new Headers();
  for (const name of ["", "a b", "a:", "é"]) assert_throws_js(TypeError, () => headers.append(name, "x"));
  for (const value of ["a\nb", "a\0", "\u0100"]) assert_throws_js(TypeError, () => headers.append("a", value));
}, "what is no name or value is refused");

export default run;
