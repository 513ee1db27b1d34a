// FormData. https://xhr.spec.whatwg.org/#interface-formdata
import {
  run, test, promise_test, assert_equals, assert_true, assert_array_equals, assert_throws_js, assert_interface,
} from "./harness.js";

test(() => {
  const members = ["append", "delete", "get", "getAll", "has", "set", "entries", "keys", "values", "forEach"];
  assert_interface("FormData", members);
  const lengths = { append: 2, delete: 1, get: 1, getAll: 1, has: 1, set: 2 };
  for (const name of Object.keys(lengths)) assert_equals(FormData.prototype[name].length, lengths[name], name);
  assert_equals(FormData.prototype[Symbol.iterator], FormData.prototype.entries);
}, "FormData is an interface");

test(() => {
  new FormData(undefined, null);
  for (const form of [null, {}, "a", 1]) assert_throws_js(TypeError, () => new FormData(form));
  assert_throws_js(TypeError, () => new FormData(undefined, {}));
}, "there are no forms that it could be made of");

test(() => {
  const form = new FormData();
  form.append("a", "1");
  form.append("b", undefined);
  form.append("a", 3);
  form.append("c\ud800", "\ud800");
  assert_equals(form.get("a"), "1");
  assert_array_equals(form.getAll("a"), ["1", "3"]);
  assert_equals(form.get("b"), "undefined");
  assert_equals(form.get("c\ufffd"), "\ufffd");
  assert_equals(form.get("d"), null);
  form.set("a", "x");
  assert_array_equals([...form.keys()], ["a", "b", "c\ufffd"]);
  form.set("e", "y");
  form.delete("b");
  assert_true(!form.has("b") && form.has("e"));
  assert_array_equals([...form].flat(), ["a", "x", "c\ufffd", "\ufffd", "e", "y"]);
}, "entries are appended, replaced and removed by name");

test(() => {
  const form = new FormData();
  form.append("a", new Blob(["x"], { type: "t/t" }));
  const file = form.get("a");
  assert_true(file instanceof File);
  assert_equals(file.name, "blob");
  assert_equals(file.type, "t/t");
  assert_true(Math.abs(file.lastModified - Date.now()) < 1000);
  assert_equals(form.get("a"), file);
  const given = new File(["x"], "n", { lastModified: 5 });
  form.set("a", given);
  assert_equals(form.get("a"), given);
  form.set("a", given, "m");
  assert_equals(form.get("a").name, "m");
  assert_equals(form.get("a").lastModified, 5);
  form.append("b", new Blob(), undefined);
  assert_equals(form.get("b").name, "blob");
}, "a blob becomes a file, and a file keeps its own name unless there is another");

test(() => {
  const form = new FormData();
  assert_throws_js(TypeError, () => form.append("a"));
  assert_throws_js(TypeError, () => form.set("a", "b", "c"));
  assert_throws_js(TypeError, () => form.append("a", "b", undefined));
  assert_throws_js(TypeError, () => form.append("a", {}, "c"));
  assert_throws_js(TypeError, () => FormData.prototype.append.call({}, "a", "b"));
}, "a name for something that is no blob is refused");

promise_test(async () => {
  const form = new FormData();
  for (const name of ["a", "b", "c"]) form.append(name, name);
  const seen = [];
  for (const [name] of form) {
    seen.push(name);
    if (name === "a") form.delete("a");
  }
  assert_array_equals(seen, ["a", "c"]);
  const calls = [];
  form.forEach(function (value, name, object) {
    calls.push(value, name, object === form, this);
  }, 7);
  assert_equals(calls.length, 8);
  assert_true(calls[2] && calls[3] == 7);
}, "iteration follows the list as it changes");

export default run;
