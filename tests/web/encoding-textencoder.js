// Encoding, 7.3 TextEncoder.
import { test, run, assert_equals, assert_true, assert_array_equals, assert_interface, assert_throws_js } from "./harness.js";

test(() => {
  assert_interface("TextEncoder", ["encoding", "encode", "encodeInto"]);
  assert_equals(new TextEncoder().encoding, "utf-8");
}, "TextEncoder is an interface");

test(() => {
  const encoder = new TextEncoder();
  for (const [text, bytes] of [
    ["", []], [undefined, []], ["a", [97]], ["\u00e9", [0xc3, 0xa9]], ["\u20ac", [0xe2, 0x82, 0xac]],
    ["\u{1f600}", [0xf0, 0x9f, 0x98, 0x80]], ["\0", [0]], [null, [110, 117, 108, 108]],
    ["\ud800", [0xef, 0xbf, 0xbd]], ["a\udc00b", [97, 0xef, 0xbf, 0xbd, 98]],
  ]) {
    const encoded = encoder.encode(text);
    assert_true(encoded instanceof Uint8Array);
    assert_array_equals(encoded, bytes, String(text));
    assert_equals(encoded.byteLength, encoded.buffer.byteLength);
  }
}, "encode() gives UTF-8, lone surrogates replaced");

test(() => {
  const encoder = new TextEncoder();
  for (const [text, room, read, bytes] of [
    ["hello", 3, 3, [104, 101, 108]], ["\u20aca", 3, 1, [0xe2, 0x82, 0xac]], ["a\u20ac", 3, 1, [97]],
    ["\u{1f600}", 4, 2, [0xf0, 0x9f, 0x98, 0x80]], ["\u{1f600}", 3, 0, []], ["\ud800x", 4, 2, [0xef, 0xbf, 0xbd, 120]],
    ["abc", 0, 0, []],
  ]) {
    const target = new Uint8Array(room + 4).fill(255);
    const result = encoder.encodeInto(text, target.subarray(2, 2 + room));
    assert_equals(result.read, read, `${text}: read`);
    assert_equals(result.written, bytes.length, `${text}: written`);
    assert_array_equals(target, [255, 255, ...bytes, ...new Array(room - bytes.length + 2).fill(255)], text);
  }
  assert_throws_js(TypeError, () => encoder.encodeInto("a", new Uint16Array(2)));
  assert_throws_js(TypeError, () => encoder.encodeInto("a", new ArrayBuffer(2)));
  assert_throws_js(TypeError, () => encoder.encodeInto("a"));
}, "encodeInto() writes whole characters only");

export default run;
