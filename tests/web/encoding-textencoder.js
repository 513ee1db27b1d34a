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

test(() => {
  const encoder = new TextEncoder();
  // Around the lengths at which other code is at work.
  for (const length of [0, 1, 31, 32, 33, 47, 48, 49, 1000]) {
    for (const text of ["x".repeat(length), `${"x".repeat(length)}\u00e9`, "\u20ac".repeat(length), `\ud800${"x".repeat(length)}`]) {
      const bytes = encoder.encode(text);
      assert_equals(new TextDecoder().decode(bytes), text.toWellFormed(), `${length}`);
      for (const room of [0, 1, 31, 32, bytes.length - 1, bytes.length, bytes.length + 1]) {
        if (room < 0) continue;
        const target = new Uint8Array(room);
        const { read, written } = encoder.encodeInto(text, target);
        assert_equals(encoder.encode(text.slice(0, read)).length, written, `${length} into ${room}`);
        assert_array_equals(target.subarray(0, written), bytes.subarray(0, written));
        assert_true(read === text.length || room - written < 4, "it is full");
      }
    }
  }
  const detached = new Uint8Array(9);
  detached.buffer.transfer();
  for (const text of ["", "text", "\u20ac", "x".repeat(99)]) {
    const result = encoder.encodeInto(text, detached);
    assert_equals(JSON.stringify(result), '{"read":0,"written":0}');
  }
  const resizable = new Uint8Array(new ArrayBuffer(3, { maxByteLength: 200 }));
  assert_equals(encoder.encodeInto("x".repeat(150), resizable).written, 3);
  resizable.buffer.resize(200);
  assert_equals(encoder.encodeInto("x".repeat(150), resizable).written, 150);
  const large = new Uint8Array(9_000_000);
  assert_equals(JSON.stringify(encoder.encodeInto("\u20ac".repeat(3_000_000), large)), '{"read":3000000,"written":9000000}');
}, "encode() and encodeInto() agree at any length");

test(() => {
  const encoder = new TextEncoder("utf-16", { ignored: true });
  assert_equals(encoder.encoding, "utf-8");
  const order = [];
  const source = { toString: () => (order.push("source"), "a") };
  assert_throws_js(TypeError, () => encoder.encodeInto(source, {}));
  assert_equals(order.join(), "source", "the source is converted first");
  for (const bad of [null, undefined, {}, [], "x", new DataView(new ArrayBuffer(1)), new Int8Array(1), new Uint8ClampedArray(1)]) {
    assert_throws_js(TypeError, () => encoder.encodeInto("", bad));
  }
  assert_throws_js(TypeError, () => encoder.encode(Symbol("s")));
  for (const method of ["encode", "encodeInto"]) {
    assert_throws_js(TypeError, () => TextEncoder.prototype[method].call({}, "a", new Uint8Array(1)));
  }
  assert_equals(TextEncoder.prototype.encode.length, 0);
  assert_equals(TextEncoder.prototype.encodeInto.length, 2);
}, "arguments are converted in order, and the constructor's ignored");

export default run;
