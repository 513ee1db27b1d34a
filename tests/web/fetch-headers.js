// Headers. https://fetch.spec.whatwg.org/#headers-class
import {
  run, test, assert_equals, assert_array_equals, assert_true, assert_throws_js, assert_throws_exactly, assert_interface,
} from "./harness.js";

test(() => {
  const members = ["append", "delete", "get", "getSetCookie", "has", "set", "entries", "keys", "values", "forEach"];
  assert_interface("Headers", members);
  const lengths = { append: 2, delete: 1, get: 1, getSetCookie: 0, has: 1, set: 2 };
  for (const name of Object.keys(lengths)) assert_equals(Headers.prototype[name].length, lengths[name], name);
}, "Headers is an interface");

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

test(() => {
  const log = [];
  const logged = (target) =>
    new Proxy(target, {
      get: (object, key, receiver) => (log.push(`get ${String(key)}`), Reflect.get(object, key, receiver)),
      ownKeys: (object) => (log.push("ownKeys"), Reflect.ownKeys(object)),
      getOwnPropertyDescriptor(object, key) {
        log.push(`own ${String(key)}`);
        return Reflect.getOwnPropertyDescriptor(object, key);
      },
    });
  const value = (text) => ({ toString: () => (log.push(text), text) });
  const seen = (init) => {
    log.length = 0;
    try {
      new Headers(logged(init));
    } catch (error) {
      log.push(error.constructor.name);
    }
    return log.join();
  };
  const start = "get Symbol(Symbol.iterator),ownKeys";
  assert_equals(seen({ a: value("x"), b: "y" }), `${start},own a,get a,x,own b,get b`);
  assert_equals(seen({ a: "x", "\uffff": "y" }), `${start},own a,get a,own \uffff,TypeError`);
  assert_equals(seen({ a: "\uffff", b: "y" }), `${start},own a,get a,TypeError`);
  // What is no field is found when all are converted.
  assert_equals(seen({ "a b": "x", b: value("y") }), `${start},own a b,get a b,own b,get b,y,TypeError`);
  assert_equals(seen(Object.defineProperty({ a: "x" }, "b", { value: "y" })), `${start},own a,get a,own b`);
  const tagged = { a: "x", [Symbol.toStringTag]: "y" };
  assert_equals(seen(tagged), `${start},own a,get a,own Symbol(Symbol.toStringTag),TypeError`);
}, "a record is read key by key, in order");

test(() => {
  const order = [];
  const part = (text) => ({ toString: () => (order.push(text), text) });
  new Headers().append(part("a"), part("b"));
  assert_array_equals(order, ["a", "b"]);
  assert_throws_js(TypeError, () => new Headers().set("a b", part("c")));
  assert_array_equals(order, ["a", "b", "c"]);
  assert_throws_js(TypeError, () => new Headers().set("\u0100", part("d")));
  assert_equals(order.length, 3);
  const error = new Error();
  const headers = new Headers([["a", "b"]]);
  assert_throws_exactly(error, () => headers.forEach(() => { throw error; }));
  assert_throws_js(TypeError, () => headers.forEach());
  assert_throws_js(TypeError, () => headers.append("a"));
  for (const init of [null, 1, "a", [["a", "b", "c"]], [1], { [Symbol.iterator]: 1 }]) {
    assert_throws_js(TypeError, () => new Headers(init));
  }
}, "arguments are converted one after the other, before they are checked");

test(() => {
  const values = {
    " a ": "a", "\t\r\na\t b\n": "a\t b", "\fa": "\fa", "a\xa0": "a\xa0", "": "", " ": "", "\x7f": "\x7f",
  };
  for (const [given, value] of Object.entries(values)) {
    const headers = new Headers({ a: given });
    assert_equals(headers.get("A"), value);
    headers.set("a", given);
    assert_equals(headers.get("a"), value);
  }
  const other = new Headers({ a: null, b: undefined, c: 1 });
  assert_equals([...other].join(), "a,null,b,undefined,c,1");
  const custom = new Headers();
  custom[Symbol.iterator] = function* () {
    yield ["x", "y"];
  };
  assert_equals(new Headers(custom).get("x"), "y");
}, "values are trimmed, and anything is a value that is a string then");

test(() => {
  const headers = new Headers({ baz: "1", foo: "2", bar: "0" });
  const seen = [];
  for (const [name] of headers) {
    seen.push(name);
    if (name === "baz") headers.append("abc", "x");
    if (name === "foo") headers.append("set-cookie", "y");
  }
  assert_equals(seen.join(), "bar,baz,baz,foo,set-cookie");
}, "iteration looks at the list anew at each step");

test(() => {
  const request = new Request("http://a/", { headers: { cookie: "a", host: "b", origin: "c" } });
  assert_equals([...request.headers].join(), "cookie,a,host,b,origin,c");
  const response = new Response(null, { headers: [["set-cookie", "a"], ["set-cookie", "b"]] });
  assert_array_equals(response.headers.getSetCookie(), ["a", "b"]);
}, "no name is forbidden on a server");

test(() => {
  const closed = [];
  const forever = (value) => ({
    [Symbol.iterator]: () => ({ next: () => ({ value, done: false }), return: () => closed.push(value) && {} }),
  });
  for (const items of [forever(1), forever(["a", Symbol()]), [forever("\u0100")]]) {
    assert_throws_js(TypeError, () => new Headers(items));
  }
  assert_array_equals(closed, [], "a conversion that fails leaves the iterator alone");
}, "iterators are not closed");

test(() => {
  const headers = new Headers([
    ["b", "1"], ["set-cookie", "x"], ["a", "2"], ["b", ""], ["1", "3"], ["set-cookie", "y"], ["b", "4"],
  ]);
  assert_equals(JSON.stringify([...headers]), '[["1","3"],["a","2"],["b","1, , 4"],["set-cookie","x"],["set-cookie","y"]]');
}, "iteration sorts and combines");

test(() => {
  const given = { accept: "a", "x-a": "b", range: "bytes=0-", "content-type": "text/plain;a=b", "accept-language": "é" };
  const { headers } = new Request("http://a/", { mode: "no-cors", headers: given });
  assert_equals([...headers].join(), "accept,a,content-type,text/plain;a=b");
  headers.append("accept", "c");
  headers.append("accept", "d".repeat(124));
  headers.set("x-a", "b");
  headers.append("content-language", "de");
  headers.set("content-language", "de:");
  headers.set("content-type", "application/json");
  headers.delete("x-b");
  const expected = "accept,a, c,content-language,de,content-type,text/plain;a=b";
  assert_equals([...headers].join(), expected);
  assert_throws_js(TypeError, () => headers.set("a b", ""));
  const copy = new Request(new Request("http://a/", { headers }), { mode: "no-cors" }).clone();
  copy.headers.set("x-a", "b");
  assert_equals([...copy.headers].join(), expected);
  const typed = (type) =>
    new Request("http://a/", { mode: "no-cors", method: "POST", body: new Blob(["a"], { type }) }).headers.get("content-type");
  assert_equals(typed("text/plain"), "text/plain");
  assert_equals(typed("application/json"), null);
}, "a request with the mode no-cors has safelisted fields only");

test(() => {
  assert_throws_js(TypeError, () => new Headers({ a: "b", [Symbol("c")]: "d" }));
  const hidden = Object.defineProperty({ a: "b" }, Symbol("c"), { value: "d", enumerable: false });
  Object.defineProperty(hidden, "e", { value: "f", enumerable: false });
  assert_equals([...new Headers(hidden)].join(), "a,b");
}, "a record's symbols are no names");

export default run;
