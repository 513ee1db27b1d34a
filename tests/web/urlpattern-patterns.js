// URLPattern, 1.6 Constructor string parsing, 2 Pattern strings, 3 Canonicalization.
import { test, run, assert_equals, assert_true, assert_false, assert_throws_js } from "./harness.js";

const COMPONENTS = ["protocol", "username", "password", "hostname", "port", "pathname", "search", "hash"];

/** A constructor string, and what its components become; those that are not named are `*`. */
const parsed = (input, base, expected) =>
  test(() => {
    const pattern = base === undefined ? new URLPattern(input) : new URLPattern(input, base);
    for (const name of COMPONENTS) assert_equals(pattern[name], expected[name] ?? "*", name);
  }, `${JSON.stringify(input)}${base === undefined ? "" : ` on ${base}`}`);

parsed("https://example.com/:category/*", undefined, {
  protocol: "https", hostname: "example.com", port: "", pathname: "/:category/*",
});
parsed("http{s}?://{:subdomain.}?shop.example/products/:id([0-9]+)#reviews", undefined, {
  protocol: "http{s}?", hostname: "{:subdomain.}?shop.example", port: "", pathname: "/products/:id([0-9]+)", search: "",
  hash: "reviews",
});
parsed("../admin/*", "https://discussion.example/forum/?page=2", {
  protocol: "https", hostname: "discussion.example", port: "", pathname: "/admin/*",
});
parsed("https://user\\:pa%20s*@h\\:8080", undefined, {
  protocol: "https", username: "user", password: "pa%20s*", hostname: "h", port: "8080",
});
parsed("https://h:443/", undefined, { protocol: "https", hostname: "h", port: "", pathname: "/" });
parsed("https://h:*/", undefined, { protocol: "https", hostname: "h", port: "*", pathname: "/" });
parsed("https://[\\:\\:1]:81/", undefined, { protocol: "https", hostname: "[\\:\\:1]", port: "81", pathname: "/" });
parsed("https://h?q", undefined, { protocol: "https", hostname: "h", port: "", pathname: "/", search: "q" });
parsed("data\\:foobar", undefined, { protocol: "data", hostname: "", port: "", pathname: "foobar" });
parsed("*://h#x", undefined, { protocol: "*", hostname: "h", port: "", pathname: "/", search: "", hash: "x" });
parsed("?a=1", "https://h/p?x", { protocol: "https", hostname: "h", port: "", pathname: "/p", search: "a=1" });
parsed("#a", "https://h:81/p?x#y", {
  protocol: "https", hostname: "h", port: "81", pathname: "/p", search: "x", hash: "a",
});
parsed("/x", "https://h/a+b?c", { protocol: "https", hostname: "h", port: "", pathname: "/x" });
parsed("x", "https://h/a+b/c", { protocol: "https", hostname: "h", port: "", pathname: "/a\\+b/x" });
parsed("https://h/a?:b?c", undefined, { protocol: "https", hostname: "h", port: "", pathname: "/a", search: ":b?c" });
parsed("https://h/*\\?c", undefined, { protocol: "https", hostname: "h", port: "", pathname: "/*", search: "c" });

/** A path's pattern, how it is written back, what it matches, and what it does not. */
const path = (pathname, written, matching, others) =>
  test(() => {
    const pattern = new URLPattern({ pathname });
    assert_equals(pattern.pathname, written);
    assert_equals(new URLPattern({ pathname: written }).pathname, written, "again");
    for (const value of matching) assert_true(pattern.test({ pathname: value }), value);
    for (const value of others) assert_false(pattern.test({ pathname: value }), value);
  }, `path ${JSON.stringify(pathname)}`);

path("/a/b", "/a/b", ["/a/b", "/a/./b", "/a/c/../b"], ["/a", "/a/b/", "/A/b", ""]);
path("", "", [""], ["/"]);
path("*", "*", ["", "/", "/a/b"], []);
path("/a/:b", "/a/:b", ["/a/x"], ["/a/", "/a", "/a/x/y"]);
path("/a/:b?", "/a/:b?", ["/a/x", "/a"], ["/a/", "/a/x/y"]);
path("/a/:b+", "/a/:b+", ["/a/x", "/a/x/y"], ["/a/", "/a"]);
path("/a/:b*", "/a/:b*", ["/a/x", "/a/x/y", "/a"], ["/a/"]);
path("/a/{:b}?", "/a/{:b}?", ["/a/x", "/a/"], ["/a"]);
path("/a/*", "/a/*", ["/a/", "/a/x/y"], ["/a"]);
path("/a/(\\d+)", "/a/(\\d+)", ["/a/12"], ["/a/x", "/a/"]);
path("/a/(.*)", "/a/*", ["/a/"], []);
path("/a/([^\\/]+?)", "/a/([^\\/]+?)", ["/a/b"], ["/a/b/c"]);
path("/a{b}?c", "/a{b}?c", ["/abc", "/ac"], ["/abbc"]);
path("/a{b}+c", "/a{b}+c", ["/abc", "/abbc"], ["/ac"]);
path("/{ab}c", "/abc", ["/abc"], []);
path("/:a:b", "/:a:b", ["/xy"], ["/x"]);
path("/:a{b}", "{/:a}b", ["/xb"], ["/x"]);
path("/{:a-b}", "/{:a-b}", ["/x-b"], ["/x"]);
path("/a\\:b\\*", "/a\\:b\\*", ["/a:b*"], ["/a"]);
path("/\u{e9}/:\u{10428}\u{e9}", "/%C3%A9/:\u{10428}\u{e9}", ["/\u{e9}/x"], []);
path("/a.b$^", "/a.b$%5E", ["/a.b$^"], ["/axb$^"]);
path("/:a(x|y)-:b", "/:a(x|y)-:b", ["/x-1"], ["/z-1"]);

test(() => {
  for (const pathname of [
    "/(", "/(?a)", "/()", "/((a))", "/(\u{e9})", "/(\\\u{e9})", "/a)(", "/{a", "/a}", "/:a/:a", "/{a{b}}", "/:", "/\\",
    "/(a", "/(\\", "/*/(+)", "/?", "/(a)(?", "/+", "/{:a:b}",
  ]) {
    assert_throws_js(TypeError, () => new URLPattern({ pathname }), pathname);
  }
  for (const init of [
    { protocol: "h\u{e9}" }, { hostname: "a b" }, { hostname: "[g]" }, { hostname: "a\\:80" }, { port: "x" },
    { port: "65536" },
  ]) {
    assert_throws_js(TypeError, () => new URLPattern(init), JSON.stringify(init));
  }
}, "what is no pattern is a TypeError");

test(() => {
  const pattern = new URLPattern({
    protocol: "HTTPS:", username: "a b", password: "@", hostname: "M\u{fc}nchen.DE", port: "0443", pathname: "/\u{e9}",
    search: "?a'b", hash: "#a b",
  });
  const expected = ["https", "a%20b", "%40", "xn--mnchen-3ya.de", "443", "/%C3%A9", "a%27b", "a%20b"];
  COMPONENTS.forEach((name, i) => assert_equals(pattern[name], expected[i], name));
  assert_equals(new URLPattern({ protocol: "http", port: "80" }).port, "");
  assert_equals(new URLPattern({ port: "80" }).port, "80");
  assert_equals(new URLPattern({ protocol: "data", pathname: "a b/../\u{e9}" }).pathname, "a b/../%C3%A9");
  assert_equals(new URLPattern({ pathname: "./a" }).pathname, "./a");
  assert_equals(new URLPattern({ hostname: "[\\:\\:AB\\:*]" }).hostname, "[\\:\\:ab\\:*]");
  assert_equals(new URLPattern({ hostname: "{[}a{]}" }).hostname, "[a]");
}, "plain text in a pattern is canonical");

test(() => {
  const host = new URLPattern({ hostname: ":sub.example.com" });
  assert_true(host.test("https://a.example.com/"));
  assert_false(host.test("https://a.b.example.com/"));
  const any = new URLPattern({ hostname: "*.example.com" });
  assert_true(any.test("https://a.b.example.com/"));
  assert_false(any.test("https://example.com/"));
  assert_true(new URLPattern({ protocol: "http{s}?" }).test("https://h/"));
  assert_false(new URLPattern({ protocol: "http{s}?" }).test("ftp://h/"));
  assert_true(new URLPattern({ port: "8(\\d+)" }).test("https://h:8080/"));
  assert_false(new URLPattern("https://h/").test("https://h:8080/"));
  assert_true(new URLPattern({ username: "u", password: "p" }).test("https://u:p@h/"));
  assert_false(new URLPattern({ username: "u" }).test("https://h/"));
  assert_true(new URLPattern("https://h/").test("https://u:p@h/?q#f"));
}, "hosts, protocols, ports and users are matched");

test(() => {
  const base = "https://u:p@h:81/a/b?c#d";
  const given = (init) => {
    const result = new URLPattern().exec({ ...init, baseURL: base });
    return COMPONENTS.map((name) => result[name].input).join(" ");
  };
  assert_equals(given({}), "https u p h 81 /a/b c d");
  assert_equals(given({ hash: "x" }), "https u p h 81 /a/b c x");
  assert_equals(given({ search: "x" }), "https u p h 81 /a/b x ");
  assert_equals(given({ pathname: "x" }), "https u p h 81 /a/x  ");
  assert_equals(given({ username: "x" }), "https x  h 81 /a/b c d");
  assert_equals(given({ password: "x" }), "https u x h 81 /a/b c d");
  assert_equals(given({ port: "82" }), "https   h 82   ");
  assert_equals(given({ hostname: "x" }), "https   x    ");
  assert_equals(given({ protocol: "http" }), "http       ");
}, "a component is inherited from the base URL if none before it is given");

export default run;
