// URL, 6.2 URLSearchParams class, and 5 application/x-www-form-urlencoded.
import {
  test, run, assert_equals, assert_true, assert_false, assert_array_equals, assert_interface, assert_throws_js,
} from "./harness.js";

const pairs = (params) => [...params].map(([name, value]) => `${name}=${value}`);

test(() => {
  const members = ["append", "delete", "get", "getAll", "has", "set", "sort", "size", "toString", "entries", "keys", "values", "forEach"];
  assert_interface("URLSearchParams", members);
  assert_equals(URLSearchParams.prototype[Symbol.iterator], URLSearchParams.prototype.entries);
}, "URLSearchParams is an interface");

test(() => {
  for (const [input, expected] of [
    ["", []], ["a=b&c=d", ["a=b", "c=d"]], ["?a=b", ["a=b"]], ["??a=b", ["?a=b"]], ["a", ["a="]], ["=b", ["=b"]],
    ["&&a&", ["a="]], ["a=b=c", ["a=b=c"]], ["a+b=c+d", ["a b=c d"]], ["a%20b=%26", ["a b=&"]], ["%C3%A9=%E2%82%AC", ["\u00e9=\u20ac"]],
    ["a=%", ["a=%"]], ["a=%zz%4", ["a=%zz%4"]], ["a=%ff", ["a=\ufffd"]], ["a=%2B", ["a=+"]], ["a=%ef%bb%bfx", ["a=\ufeffx"]],
    ["\u00e9=\ud800", ["\u00e9=\ufffd"]], ["a=%C3%A9%ff+", ["a=\u00e9\ufffd "]], ["a=1&b=2&a=3", ["a=1", "b=2", "a=3"]],
    [undefined, []], [null, ["null="]], [5, ["5="]],
    [{ a: 1, b: true }, ["a=1", "b=true"]], [{}, []], [[["a", "b"], new Set(["c", "d"])], ["a=b", "c=d"]], [[], []],
    [new Map([["x", 1]]), ["x=1"]], [new URLSearchParams("q=1&q=2"), ["q=1", "q=2"]],
    [{ "\ud835x": "1", "\ufffdx": "2" }, ["\ufffdx=2"]],
  ]) {
    assert_array_equals(pairs(new URLSearchParams(input)), expected, JSON.stringify(input));
  }
  for (const bad of [[["a"]], [["a", "b", "c"]], [1], { [Symbol("x")]: 1 }, Symbol()]) {
    assert_throws_js(TypeError, () => new URLSearchParams(bad));
  }
  assert_array_equals(pairs(new URLSearchParams(Object.create({ inherited: 1 }))), []);
}, "the constructor takes strings, sequences and records");

test(() => {
  for (const [value, text] of [
    ["", ""], [" ", "+"], ["+", "%2B"], ["&=#%", "%26%3D%23%25"], ["*-._", "*-._"], ["~!'()", "%7E%21%27%28%29"],
    ["\u00e9", "%C3%A9"], ["\u{1f600}", "%F0%9F%98%80"], ["\0", "%00"], ["\ud800", "%EF%BF%BD"], ["az09AZ", "az09AZ"],
  ]) {
    assert_equals(new URLSearchParams([["a", value]]).toString(), `a=${text}`, JSON.stringify(value));
  }
}, "serialising escapes as forms do");

test(() => {
  const params = new URLSearchParams("a=1&b=2&a=3");
  assert_equals(params.size, 3);
  assert_equals(params.get("a"), "1");
  assert_equals(params.get("x"), null);
  assert_array_equals(params.getAll("a"), ["1", "3"]);
  assert_array_equals(params.getAll("x"), []);
  assert_true(params.has("a"));
  assert_true(params.has("a", "3"));
  assert_true(params.has("a", undefined));
  assert_false(params.has("a", "2"));
  params.append("c", null);
  params.set("a", "x");
  assert_equals(params.toString(), "a=x&b=2&c=null");
  params.set("new", 1);
  params.delete("b", "nope");
  params.delete("b", "2");
  params.delete("zz");
  assert_equals(params.toString(), "a=x&c=null&new=1");
  params.append("a", "y");
  params.delete("a");
  assert_equals(params.toString(), "c=null&new=1");
}, "get, getAll, has, append, set, delete");

test(() => {
  for (const [method, count] of [["get", 1], ["getAll", 1], ["has", 1], ["delete", 1], ["append", 2], ["set", 2], ["forEach", 1]]) {
    const params = new URLSearchParams("a=1");
    assert_equals(params[method].length, count, method);
    assert_throws_js(TypeError, () => params[method](...new Array(count - 1).fill("x")), method);
    assert_throws_js(TypeError, () => URLSearchParams.prototype[method].call({}, "a", "b"), method);
  }
}, "arguments are counted, other objects refused");

test(() => {
  const params = new URLSearchParams("z=b&a=b&z=a&a=a&\u{1f600}=1&\ufb03=2");
  params.sort();
  assert_equals(pairs(params).join(), "a=b,a=a,z=b,z=a,\u{1f600}=1,\ufb03=2");
}, "sort() is stable and by code units");

test(() => {
  const params = new URLSearchParams("a=1&b=2");
  assert_array_equals([...params.keys()], ["a", "b"]);
  assert_array_equals([...params.values()], ["1", "2"]);
  const iterator = params.entries();
  assert_equals(Object.prototype.toString.call(iterator), "[object URLSearchParams Iterator]");
  assert_equals(iterator[Symbol.iterator](), iterator);
  assert_equals(iterator.next().value.join(), "a,1");
  params.append("c", "3");
  assert_equals(iterator.next().value.join(), "b,2");
  assert_equals(iterator.next().value.join(), "c,3");
  assert_true(iterator.next().done);
  assert_throws_js(TypeError, () => iterator.next.call({}));
  const seen = [];
  const self = {};
  params.forEach(function (value, name, object) {
    seen.push(name + value, this === self, object === params);
    if (name === "a") params.delete("b");
  }, self);
  assert_array_equals(seen, ["a1", true, true, "c3", true, true]);
  assert_throws_js(TypeError, () => params.forEach(1));
}, "iterators are live");

test(() => {
  const log = [];
  const pairs = {
    get [Symbol.iterator]() {
      log.push("get");
      return function* () {
        try {
          for (const pair of [["a", "b"], ["c"], ["d", "e"]]) {
            log.push(pair[0]);
            yield pair;
          }
        } finally {
          log.push("end");
        }
      };
    },
  };
  assert_throws_js(TypeError, () => new URLSearchParams(pairs));
  assert_array_equals(log, ["get", "a", "c", "d", "end"], "all pairs are taken before one is found to be none");
  const params = new URLSearchParams("a=1");
  params[Symbol.iterator] = function* () {
    yield ["x", "y"];
  };
  assert_equals(new URLSearchParams(params).toString(), "x=y", "a patched iterator");
  assert_throws_js(TypeError, () => new URLSearchParams({ [Symbol.iterator]: 1 }));
  assert_throws_js(TypeError, () => new URLSearchParams({ [Symbol("a")]: "b" }), "a symbol is no name");
  assert_equals(new URLSearchParams({ "\ud835x": 1, "\ud83dx": 2 }).toString(), "%EF%BF%BDx=2");
  assert_equals(new URLSearchParams(null).toString(), "null=");
}, "the constructor takes sequences by their iterators, else records");

test(() => {
  const names = 700_000;
  assert_equals(new URLSearchParams("a&".repeat(names)).size, names);
  assert_equals(new URLSearchParams(`${"a&".repeat(names)}b=c`).get("b"), "c");
  assert_array_equals(pairs(new URLSearchParams("a&b=c&d&&=&e=f=g&h")), ["a=", "b=c", "d=", "=", "e=f=g", "h="]);
}, "names without a value cost no more than others");

export default run;
