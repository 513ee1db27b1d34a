// URL, 6.1 URL class.
import {
  test, run, assert_equals, assert_true, assert_false, assert_interface, assert_throws_js,
} from "./harness.js";

const ATTRIBUTES = [
  "href", "origin", "protocol", "username", "password", "host", "hostname", "port", "pathname", "search", "hash",
];

test(() => {
  assert_interface("URL", [...ATTRIBUTES, "searchParams", "toString", "toJSON"], { length: 1 });
  assert_equals(URL.canParse.length, 1);
  assert_equals(URL.parse.length, 1);
}, "URL is an interface");

const components = (input, base, expected) =>
  test(() => {
    const url = new URL(input, base);
    for (const [name, value] of Object.entries(expected)) assert_equals(url[name], value, name);
    assert_equals(new URL(url.href).href, url.href, "parsed again");
    assert_equals(String(url), url.href);
    assert_equals(JSON.stringify(url), JSON.stringify(url.href));
  }, `parsing ${JSON.stringify(input)}${base === undefined ? "" : ` on ${JSON.stringify(base)}`}`);

components("http://localhost:8080/a/b?x=1&y=2", undefined, {
  href: "http://localhost:8080/a/b?x=1&y=2", origin: "http://localhost:8080", protocol: "http:", username: "",
  password: "", host: "localhost:8080", hostname: "localhost", port: "8080", pathname: "/a/b", search: "?x=1&y=2", hash: "",
});
components("https://user:pa%20ss@EXAMPLE.com:443/../a/./b%7Ec?q#f", undefined, {
  href: "https://user:pa%20ss@example.com/a/b%7Ec?q#f", origin: "https://example.com", username: "user",
  password: "pa%20ss", host: "example.com", port: "", pathname: "/a/b%7Ec", search: "?q", hash: "#f",
});
components("http://u@h/", undefined, { username: "u", password: "", hostname: "h" });
components("http://:p@h/", undefined, { username: "", password: "p", hostname: "h" });
components("http://u:@h/", undefined, { href: "http://u@h/", username: "u", password: "" });
components("http://h?", undefined, { href: "http://h/?", pathname: "/", search: "", hash: "" });
components("http://h/#", undefined, { href: "http://h/#", search: "", hash: "" });
components("http://h/?#", undefined, { search: "", hash: "" });
components("http://h/?a#b?c", undefined, { search: "?a", hash: "#b?c" });
components("http://h/#a?b", undefined, { search: "", hash: "#a?b" });
components("  http://h/\n", undefined, { href: "http://h/" });
components("http://h/\u00e9 \"<>`{}", undefined, { pathname: "/%C3%A9%20%22%3C%3E%60%7B%7D" });
components("http://h/?\u00e9 \"<>'`{}", undefined, { search: "?%C3%A9%20%22%3C%3E%27`{}" });
components("http://h/#\u00e9 \"<>`", undefined, { hash: "#%C3%A9%20%22%3C%3E%60" });
components("http://m\u00fcnchen.de/", undefined, { hostname: "xn--mnchen-3ya.de" });
components("http://0x7f.1/", undefined, { hostname: "127.0.0.1" });
components("http://127.0.0.1:80/", undefined, { href: "http://127.0.0.1/", port: "" });
components("http://[::1]:8080/", undefined, { hostname: "[::1]", host: "[::1]:8080", port: "8080", origin: "http://[::1]:8080" });
components("http://[2001:DB8:0:0::1]/", undefined, { hostname: "[2001:db8::1]" });
components("http:\\\\h\\a\\b", undefined, { href: "http://h/a/b" });
components("mailto:a@b?subject=x", undefined, {
  origin: "null", protocol: "mailto:", host: "", hostname: "", port: "", username: "", pathname: "a@b", search: "?subject=x",
});
components("data:text/plain,a b#f", undefined, { origin: "null", pathname: "text/plain,a b", hash: "#f" });
components("blob:https://example.com/id", undefined, { origin: "https://example.com", pathname: "https://example.com/id" });
components("blob:x", undefined, { origin: "null" });
components("file:///a/b", undefined, { origin: "null", host: "", pathname: "/a/b" });
components("ws://h:80/x", undefined, { origin: "ws://h", port: "" });
components("a://h:1/p", undefined, { origin: "null", host: "h:1", hostname: "h", port: "1", pathname: "/p" });
components("a:/.//p", undefined, { href: "a:/.//p", host: "", port: "", pathname: "//p" });
components("javascript:alert(1)", undefined, { pathname: "alert(1)" });
components("b?c", "http://h/x/a?q#f", { href: "http://h/x/b?c" });
components("//other/p", "https://h/x", { href: "https://other/p" });
components("/abs", "http://h:81/x/y", { href: "http://h:81/abs" });
components("", "http://h/x?q#f", { href: "http://h/x?q" });
components("#f", "http://h/x?q", { href: "http://h/x?q#f" });
components("../../..", "http://h/a/b", { href: "http://h/" });
components("http://h/%2e%2E/%2e/x", undefined, { href: "http://h/x" });
components("http://h/\ud800", undefined, { pathname: "/%EF%BF%BD" });

components("https://XN--A/", undefined, { hostname: "xn--a" });
components("http://h/^|", undefined, { pathname: "/%5E|" });
components("a://H%41\u00e9:80/", undefined, { href: "a://H%41%C3%A9:80/", host: "H%41%C3%A9:80" });
components("data:a b  #f", undefined, { href: "data:a b %20#f", pathname: "a b %20" });
components("data:a b  ", undefined, { href: "data:a b" });
components("file://localhost/a", undefined, { href: "file:///a" });
components("file:c|/../a", undefined, { href: "file:///c:/a" });
components("file://c:\\a", undefined, { href: "file:///c:/a" });
components("..", "file:///c:/a", { href: "file:///c:/" });
components("/b", "file://h/c:/a", { href: "file://h/c:/b" });
components("c:/b", "file://h/a", { href: "c:/b", protocol: "c:" });
components("c|/b", "file://h/a", { href: "file://h/c:/b" });
components("file:////a//../b", undefined, { href: "file:////a/b", pathname: "//a/b" });
components("#x", "mailto:a", { href: "mailto:a#x" });
components("blob:https://example.com:443/id", undefined, { origin: "https://example.com" });
components("blob:ftp://example.com/id", undefined, { origin: "null" });
components("https:a", "https://h/x/y", { href: "https://h/x/a" });
components("https:a", "http://h/x/y", { href: "https://a/" });
components("http:///////h///a", undefined, { href: "http://h///a" });
components("http://a@b@c:d@h/", undefined, { username: "a%40b%40c", password: "d", hostname: "h" });

test(() => {
  for (const [input, base] of [
    [""], ["/x"], ["http://"], ["http://a b/"], ["http://h:99999/"], ["http://h:x/"], ["http://[::1/"], ["http://1.2.3.256/"],
    ["http://a<b/"], ["http://a^b/"], ["http://a%00b/"], ["http://xn--a.\u00df/"], ["http://1.2.3.4.5/"], ["http://a.0x1/"],
    ["x", "mailto:a"], ["x", "nonsense"], ["http://h/", "nonsense"], ["http://%zz/"], [undefined],
  ]) {
    assert_throws_js(TypeError, () => new URL(input, base), `${input} on ${base}`);
    assert_false(URL.canParse(input, base), `${input} on ${base}`);
    assert_equals(URL.parse(input, base), null);
  }
  assert_throws_js(TypeError, () => new URL());
  assert_throws_js(TypeError, () => URL.canParse());
  assert_throws_js(TypeError, () => URL.parse());
  assert_true(URL.canParse("x", "http://h/"));
  assert_equals(URL.parse("x", "http://h/").href, "http://h/x");
  assert_equals(new URL({ toString: () => "http://h/y" }).pathname, "/y");
  assert_equals(new URL(new URL("http://h/z")).pathname, "/z");
}, "what is no URL is a TypeError, or null, or false");

const setting = (start, attribute, value, href) =>
  test(() => {
    const url = new URL(start);
    url[attribute] = value;
    assert_equals(url.href, href);
    const again = new URL(href);
    for (const name of ATTRIBUTES) assert_equals(url[name], again[name], name);
  }, `${start}: ${attribute} = ${JSON.stringify(value)}`);

setting("http://h/p", "href", "https://x:1/y?z#w", "https://x:1/y?z#w");
setting("http://h/p", "protocol", "https", "https://h/p");
setting("http://h:443/p", "protocol", "https:foo", "https://h/p");
setting("http://h/p", "protocol", "mailto", "http://h/p");
setting("a://h/p", "protocol", "b", "b://h/p");
setting("http://h/p", "username", "m\u00e9 @:", "http://m%C3%A9%20%40%3A@h/p");
setting("http://u:p@h/", "username", "", "http://:p@h/");
setting("http://h/", "password", "x", "http://:x@h/");
setting("http://u:p@h/", "password", "", "http://u@h/");
setting("file:///p", "username", "x", "file:///p");
setting("http://h:81/p", "host", "x.y:82", "http://x.y:82/p");
setting("http://h:81/p", "host", "x", "http://x:81/p");
setting("http://h/p", "host", "a b", "http://h/p");
setting("mailto:x", "host", "h", "mailto:x");
setting("http://h:81/p", "hostname", "x", "http://x:81/p");
setting("http://h/p", "hostname", "", "http://h/p");
setting("http://h/p", "port", "8080", "http://h:8080/p");
setting("http://h/p", "port", "80", "http://h/p");
setting("http://h:81/p", "port", "", "http://h/p");
setting("http://h/p", "port", "90x", "http://h:90/p");
setting("http://h/p", "port", "65536", "http://h/p");
setting("http://h/p", "port", "x", "http://h/p");
setting("http://h/p?q#f", "pathname", "a b/../c", "http://h/c?q#f");
setting("http://h/p", "pathname", "?#", "http://h/%3F%23");
setting("http://h/p", "pathname", "", "http://h/");
setting("mailto:x", "pathname", "y", "mailto:x");
setting("http://h/p", "search", "a b", "http://h/p?a%20b");
setting("http://h/p", "search", "?a", "http://h/p?a");
setting("http://h/p?q", "search", "", "http://h/p");
setting("http://h/p?q", "search", "#", "http://h/p?%23");
setting("http://h/p#f", "search", "x", "http://h/p?x#f");
setting("http://h/p", "hash", "a b", "http://h/p#a%20b");
setting("http://h/p#f", "hash", "", "http://h/p");
setting("http://h/p", "hash", "#x", "http://h/p#x");
setting("data:x", "hash", "y", "data:x#y");

setting("http://h/p", "protocol", "ht\ttps", "https://h/p");
setting("http://h/p", "protocol", "\0https", "http://h/p");
setting("http://u@h/p", "protocol", "file", "http://u@h/p");
setting("file:///p", "protocol", "https", "file:///p");
setting("http://h/p", "username", "a\tb", "http://a%09b@h/p");
setting("http://h:81/p", "host", "x:99999", "http://x:81/p");
setting("http://h:81/p", "host", "x/y:2", "http://x:81/p");
setting("http://h:81/p", "hostname", "x:2", "http://h:81/p");
setting("http://h/p", "host", "[::1]:8", "http://[::1]:8/p");
setting("a://h/p", "host", "", "a:///p");
setting("a://h:1/p", "host", "", "a://h:1/p");
setting("a:/p", "host", "h", "a://h/p");
setting("file:///p", "host", "h:1", "file:///p");
setting("file:///p", "host", "localhost", "file:///p");
setting("file:///p", "port", "1", "file:///p");
setting("http://h/p", "port", "\t81x2", "http://h:81/p");
setting("a:/p", "pathname", "//q", "a:/.//q");
setting("a:/.//p", "pathname", "q", "a:/q");
setting("a:/.//p", "hostname", "h", "a://h//p");
setting("a://h/p", "pathname", "", "a://h");
setting("a:/p", "pathname", "", "a:/");
setting("file:///p", "pathname", "//c|/..", "file:////");
setting("http://h/p", "search", "\t?a", "http://h/p??a");
setting("a://h/p", "search", "'", "a://h/p?'");
setting("data:x #f", "hash", "", "data:x%20");
setting("http://h/p", "hash", "a\nb`", "http://h/p#ab%60");

test(() => {
  const url = new URL("http://h/p");
  assert_throws_js(TypeError, () => (url.href = "nonsense"));
  assert_equals(url.href, "http://h/p");
  "use strict";
  assert_throws_js(TypeError, () => (url.origin = "x"));
  assert_throws_js(TypeError, () => (url.hash = Symbol()));
}, "href refuses what is no URL; origin is read-only");

test(() => {
  const url = new URL("http://h/p?a=1");
  const { searchParams } = url;
  assert_equals(url.searchParams, searchParams);
  assert_equals(searchParams.get("a"), "1");
  searchParams.append("b", "\u00e9 &");
  assert_equals(url.search, "?a=1&b=%C3%A9+%26");
  url.search = "?c=3";
  assert_equals(searchParams.toString(), "c=3");
  url.href = "http://h/?d=4#f";
  assert_equals(searchParams.get("d"), "4");
  searchParams.delete("d");
  assert_equals(url.href, "http://h/#f");
  searchParams.set("x", "y");
  assert_equals(url.href, "http://h/?x=y#f");
  url.hash = "";
  assert_equals(searchParams.size, 1);
}, "searchParams and the query follow each other");

test(() => {
  const url = new URL("http://h/p?a=1#f");
  const { searchParams } = url;
  searchParams.append("b", "2");
  url.hash = "g";
  assert_equals(url.href, "http://h/p?a=1&b=2#g");
  searchParams.append("c", "3");
  assert_equals(url.hash, "#g");
  assert_equals(url.pathname, "/p");
  url.pathname = "/q";
  assert_equals(`${url}`, "http://h/q?a=1&b=2&c=3#g");
  searchParams.delete("a");
  url.search = "z";
  assert_equals(url.toJSON(), "http://h/q?z#g");
  searchParams.append("y", "");
  url.href = "http://h/#x";
  assert_equals(searchParams.size, 0);
  assert_equals(url.search, "");
  searchParams.append("n", "");
  assert_equals(url.search, "?n=");
  assert_equals(url.hash, "#x");
  assert_equals(new URL(url).href, "http://h/?n=#x");
  const empty = new URL("http://h/?");
  empty.searchParams.delete("a");
  assert_equals(empty.href, "http://h/");
}, "changes of searchParams are in all of the URL at once");

test(() => {
  for (const touched of [true, false]) {
    const url = new URL("http://h/");
    if (touched) url.searchParams;
    url.search = "??a=\tb\n#&c=\u00e9";
    assert_equals(url.href, "http://h/??a=b%23&c=%C3%A9");
    assert_equals(url.searchParams.get("?a"), "\tb\n#");
    assert_equals(url.searchParams.get("c"), "\u00e9");
    url.href = url.href;
    assert_equals(url.searchParams.get("?a"), "b#");
  }
}, "searchParams are made of the value of search as it was given");

test(() => {
  const getters = ["href", "search", "protocol", "origin", "pathname", "searchParams"].map((name) => [
    name, Object.getOwnPropertyDescriptor(URL.prototype, name),
  ]);
  const url = new URL("blob:https://h/a");
  const other = new URL("http://h/?a=1");
  const { origin } = Object.getOwnPropertyDescriptors(URL.prototype);
  for (const [name] of getters) Object.defineProperty(URL.prototype, name, { configurable: true, get: () => "patched" });
  try {
    assert_equals(origin.get.call(url), "https://h");
    assert_equals(other.toString(), "http://h/?a=1");
  } finally {
    for (const [name, descriptor] of getters) Object.defineProperty(URL.prototype, name, descriptor);
  }
}, "patched getters are not used inside");

export default run;
