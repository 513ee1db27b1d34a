// URLPattern, 1.2 The URLPattern class: the interface, its constructors, and what its methods take and give.
import {
  test, run, assert_equals, assert_true, assert_false, assert_array_equals, assert_interface, assert_throws_js,
} from "./harness.js";

const COMPONENTS = ["protocol", "username", "password", "hostname", "port", "pathname", "search", "hash"];

test(() => {
  assert_interface("URLPattern", [...COMPONENTS, "hasRegExpGroups", "test", "exec"], { length: 0 });
  assert_equals(URLPattern.prototype.test.length, 0);
  assert_equals(URLPattern.prototype.exec.length, 0);
  assert_throws_js(TypeError, () => URLPattern.prototype.test.call({}));
  assert_throws_js(TypeError, () => URLPattern.prototype.exec.call(null));
}, "URLPattern is an interface");

test(() => {
  const inits = [[], [{}], [null], [undefined, undefined], [{}, null]];
  for (const pattern of inits.map((init) => new URLPattern(...init))) {
    for (const name of COMPONENTS) assert_equals(pattern[name], "*", name);
    assert_false(pattern.hasRegExpGroups);
    assert_true(pattern.test("https://a/"));
    assert_true(pattern.test());
  }
  assert_throws_js(TypeError, () => URLPattern());
  assert_throws_js(TypeError, () => new URLPattern("/a"), "no base");
  assert_throws_js(TypeError, () => new URLPattern("/a", "nonsense"));
  assert_throws_js(TypeError, () => new URLPattern({ pathname: "/a" }, "https://a/"), "an init has its own base");
  assert_throws_js(TypeError, () => new URLPattern("/a", undefined, {}), "the base is the string undefined");
  assert_throws_js(TypeError, () => new URLPattern("https://a/(x", {}));
  assert_throws_js(TypeError, () => new URLPattern(Symbol()));
  assert_throws_js(TypeError, () => new URLPattern({ pathname: Symbol() }));
  assert_throws_js(TypeError, () => new URLPattern({ baseURL: "nonsense" }));
  assert_throws_js(TypeError, () => new URLPattern({}, 1), "a number is a base");
}, "the constructor tells its two forms apart");

test(() => {
  const log = [];
  const get = (name, members) => (_, key) => (log.push(`${name}.${String(key)}`), members[key]);
  const seen = (name, members) => new Proxy({}, { get: get(name, members) });
  new URLPattern(seen("init", { pathname: { toString: () => (log.push("pathname"), "/x") } }), seen("options", {}));
  assert_array_equals(log, [
    "init.baseURL", "init.hash", "init.hostname", "init.password", "init.pathname", "pathname", "init.port",
    "init.protocol", "init.search", "init.username", "options.ignoreCase",
  ]);
}, "members are read in the order of Web IDL, before anything is looked at");

test(() => {
  const pattern = new URLPattern("/Books/:id", "https://example.com", { ignoreCase: true });
  assert_true(pattern.test("https://example.com/books/1"));
  assert_true(pattern.test("https://example.com/BOOKS/1?q"));
  assert_false(new URLPattern("/Books/:id", "https://example.com").test("https://example.com/books/1"));
  assert_true(new URLPattern({ search: "A" }, { ignoreCase: 1 }).test("https://x/?a"));
  assert_true(new URLPattern("https://x/A?B#C", { ignoreCase: true }).test("https://x/a?b#c"));
  assert_false(new URLPattern({ username: "A" }, { ignoreCase: true }).test({ username: "a" }));
}, "ignoreCase is for path, query and fragment");

test(() => {
  const pattern = new URLPattern(new URL("https://u:p@h:81/p?q#f"));
  assert_array_equals(COMPONENTS.map((name) => pattern[name]), ["https", "u", "p", "h", "81", "/p", "q", "f"]);
  assert_true(pattern.test(new URL("https://u:p@h:81/p?q#f")));
}, "a URL is an init like any other object");

test(() => {
  const pattern = new URLPattern({ pathname: "/a/:name/*", search: "x=(\\d+)" });
  assert_true(pattern.hasRegExpGroups);
  const result = pattern.exec("https://h:1/a/b/c/d?x=12#f");
  assert_equals(
    JSON.stringify(result),
    JSON.stringify({
      hash: { groups: { 0: "f" }, input: "f" },
      hostname: { groups: { 0: "h" }, input: "h" },
      inputs: ["https://h:1/a/b/c/d?x=12#f"],
      password: { groups: { 0: "" }, input: "" },
      pathname: { groups: { 0: "c/d", name: "b" }, input: "/a/b/c/d" },
      port: { groups: { 0: "1" }, input: "1" },
      protocol: { groups: { 0: "https" }, input: "https" },
      search: { groups: { 0: "12" }, input: "x=12" },
      username: { groups: { 0: "" }, input: "" },
    }),
  );
  assert_equals(Object.getPrototypeOf(result), Object.prototype);
  assert_equals(Object.getPrototypeOf(result.hash.groups), Object.prototype);
  assert_equals(pattern.exec("https://h/a/b/c?x=y"), null);
  assert_equals(pattern.exec("nonsense"), null);
  assert_equals(pattern.exec("x", "nonsense"), null);
  assert_false(pattern.test("nonsense"));
}, "exec() gives a component's input and groups, or null");

test(() => {
  const result = new URLPattern({ pathname: "/a{/:b}?" }).exec({ pathname: "/a" });
  assert_true("b" in result.pathname.groups);
  assert_equals(result.pathname.groups.b, undefined);
  const named = new URLPattern({ pathname: "/:__proto__/:constructor" }).exec("https://h/x/y").pathname.groups;
  assert_array_equals(Object.keys(named), ["__proto__", "constructor"]);
  assert_equals(Object.getOwnPropertyDescriptor(named, "__proto__").value, "x");
  const many = new URLPattern({ pathname: "/:a/:b/:c/:d/:e" }).exec("https://h/1/2/3/4/5").pathname.groups;
  assert_equals(JSON.stringify(many), '{"a":"1","b":"2","c":"3","d":"4","e":"5"}');
  const three = new URLPattern({ pathname: "/:a/:b/:c" }).exec("https://h/1/2/3").pathname.groups;
  assert_equals(JSON.stringify(three), '{"a":"1","b":"2","c":"3"}');
}, "groups have their names, whatever these are, and undefined if they matched nothing");

test(() => {
  const pattern = new URLPattern({ pathname: "/a/b" });
  const result = pattern.exec("b", "https://h/a/");
  assert_array_equals(result.inputs, ["b", "https://h/a/"]);
  const init = { pathname: "b", baseURL: "https://h/a/", other: 1 };
  const { inputs } = pattern.exec(init);
  assert_equals(inputs.length, 1);
  assert_true(inputs[0] !== init);
  assert_equals(JSON.stringify(inputs[0]), '{"baseURL":"https://h/a/","pathname":"b"}');
  assert_throws_js(TypeError, () => pattern.test({ pathname: "/a/b" }, "https://h/"));
  assert_throws_js(TypeError, () => pattern.exec({}, "https://h/"));
  assert_equals(pattern.exec({ pathname: "/a/b", baseURL: "nonsense" }), null);
  assert_equals(pattern.exec({ port: "x" }), null);
}, "inputs are copies of what was given");

test(() => {
  assert_false(new URLPattern({ pathname: "/:a/*", hostname: "{x.}?y" }).hasRegExpGroups);
  for (const name of COMPONENTS) assert_true(new URLPattern({ [name]: "(a|b)" }).hasRegExpGroups, name);
  assert_false(new URLPattern({ pathname: "(.*)" }).hasRegExpGroups, "a wildcard by another name");
}, "hasRegExpGroups");

test(() => {
  const patterns = ["/users", "/users/:id", "/users/:id/posts", "/files/*", "/:page(about|help)"].map(
    (pathname) => new URLPattern({ pathname }),
  );
  const first = (url) => patterns.findIndex((pattern) => pattern.test(url));
  const urls = ["/users", "/users/7", "/users/7/posts", "/files/a/b", "/help"].map((path) => `https://h${path}`);
  assert_array_equals(urls.map(first), [0, 1, 2, 3, 4]);
  assert_array_equals(urls.map(first), [0, 1, 2, 3, 4], "again");
  assert_equals(first("https://h/users/"), -1);
  assert_equals(first("nonsense"), -1);
}, "many patterns are asked about the same URL");

test(() => {
  const saved = [
    [RegExp.prototype, "exec"], [RegExp.prototype, Symbol.match], [String.prototype, "startsWith"],
    [String.prototype, "slice"], [Array.prototype, Symbol.iterator], [globalThis, "RegExp"],
  ].map(([holder, name]) => [holder, name, Object.getOwnPropertyDescriptor(holder, name)]);
  const names = ["0", "id", "groups", "input"];
  let leaks = 0;
  const leak = () => {
    leaks++;
    throw new Error("called");
  };
  let result;
  try {
    const define = (holder, name, how) => Object.defineProperty(holder, name, { configurable: true, ...how });
    for (let i = 0; i < saved.length; i++) define(saved[i][0], saved[i][1], { value: leak });
    for (let i = 0; i < names.length; i++) define(Object.prototype, names[i], { set: leak });
    result = new URLPattern("/a/:id/(\\d+)?", "https://h/").exec("https://h/a/b/1");
  } finally {
    for (let i = 0; i < names.length; i++) delete Object.prototype[names[i]];
    for (let i = 0; i < saved.length; i++) Object.defineProperty(saved[i][0], saved[i][1], saved[i][2]);
  }
  assert_equals(leaks, 0);
  assert_equals(result.pathname.groups.id, "b");
}, "patched built-ins are not called");

export default run;
