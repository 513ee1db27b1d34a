// HTML, 8.3 Base64 utility methods; Infra, 5 Forgiving base64.
import { test, run, assert_equals, assert_throws_dom, assert_throws_js } from "./harness.js";

test(() => {
  for (const [text, base64] of [
    ["", ""], ["a", "YQ=="], ["ab", "YWI="], ["abc", "YWJj"], ["\0\xff\x80", "AP+A"], ["\xff\xff\xbe", "//++"],
    [undefined, "dW5kZWZpbmVk"], [null, "bnVsbA=="], [12, "MTI="],
  ]) {
    assert_equals(btoa(text), base64, String(text));
    assert_equals(atob(base64), String(text), base64);
  }
  assert_throws_dom("InvalidCharacterError", () => btoa("\u0100"));
  assert_throws_dom("InvalidCharacterError", () => btoa("a\u{1f600}"));
  assert_throws_js(TypeError, () => btoa());
}, "btoa() and atob() are inverse on characters up to U+00FF");

test(() => {
  for (const [base64, text] of [["YQ", "a"], [" Y\tW\nI\f\r= ", "ab"], ["YR==", "a"], ["ab", "i"], [null, "\x9e\xe9e"]]) {
    assert_equals(atob(base64), text, String(base64));
  }
}, "atob() forgives white space, missing padding and stray bits");

test(() => {
  for (const bad of ["a", "ab=", "ab===", "=", "abcd=", "a-_b", "ab\u00a0c", "\u0141QQ=", "abcde", "ab\vcd", undefined + "!"]) {
    assert_throws_dom("InvalidCharacterError", () => atob(bad), bad);
  }
  assert_throws_js(TypeError, () => atob());
}, "atob() refuses everything else");

test(() => {
  for (const [method, bad] of [[btoa, "\u0100"], [atob, "a"]]) {
    try {
      method(bad);
    } catch (error) {
      assert_equals(error.code, DOMException.INVALID_CHARACTER_ERR);
      continue;
    }
    throw new Error("nothing was thrown");
  }
  for (const [name, method] of Object.entries({ atob, btoa })) {
    assert_equals(method.name, name);
    assert_equals(method.length, 1);
    assert_throws_js(TypeError, () => new method("a"));
    assert_throws_js(TypeError, () => method(Symbol("s")));
    assert_throws_js(TypeError, () => method.call({}, ""));
    assert_equals(method.call(globalThis, "") + method.call(null, ""), "");
  }
  const bytes = Array.from({ length: 256 }, (_, i) => String.fromCharCode(i)).join("");
  for (let length = 0; length < 256; length++) {
    const text = bytes.slice(length);
    const base64 = btoa(text);
    assert_equals(base64, Uint8Array.from(text, (c) => c.charCodeAt(0)).toBase64());
    assert_equals(atob(base64), text);
    assert_equals(atob(base64.replaceAll(/(.{7})/g, "$1\r\n ")), text, "with white space");
    // A two-byte string of the same characters.
    assert_equals(atob(`${base64}\u0100`.slice(0, -1)), text);
    assert_equals(btoa(`${text}\u0100`.slice(0, -1)), base64);
  }
}, "all bytes and lengths, also of two-byte strings");

test(() => {
  const text = "\u00e9x".repeat(500_000);
  assert_equals(atob(btoa(text)), text);
}, "a megabyte goes there and back");

export default run;
