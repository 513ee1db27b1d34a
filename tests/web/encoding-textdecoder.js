// Encoding, 7.2 TextDecoder.
import {
  test, run, assert_equals, assert_true, assert_false, assert_interface, assert_throws_js,
} from "./harness.js";

const bytes = (...values) => new Uint8Array(values);

test(() => {
  assert_interface("TextDecoder", ["encoding", "fatal", "ignoreBOM", "decode"]);
  const decoder = new TextDecoder();
  assert_equals(decoder.encoding, "utf-8");
  assert_false(decoder.fatal);
  assert_false(decoder.ignoreBOM);
  assert_true(new TextDecoder("utf-8", { fatal: 1 }).fatal);
  assert_true(new TextDecoder("utf-8", { ignoreBOM: "x" }).ignoreBOM);
}, "TextDecoder is an interface with defaults");

test(() => {
  for (const [label, name] of [
    ["UTF8", "utf-8"], [" utf-8\n", "utf-8"], ["unicode-1-1-utf-8", "utf-8"], ["latin1", "windows-1252"],
    ["ascii", "windows-1252"], ["iso-8859-1", "windows-1252"], ["utf-16", "utf-16le"], ["utf-16be", "utf-16be"],
    ["sjis", "shift_jis"], ["gb2312", "gbk"], ["gb18030", "gb18030"], ["big5", "big5"], ["euc-kr", "euc-kr"],
    ["koi8-r", "koi8-r"], ["iso-2022-jp", "iso-2022-jp"], ["x-user-defined", "x-user-defined"], ["ibm866", "ibm866"],
    ["macintosh", "macintosh"], ["iso-8859-8-i", "iso-8859-8-i"],
  ]) {
    assert_equals(new TextDecoder(label).encoding, name, label);
  }
  for (const label of ["", "utf-32", "replacement", "iso-2022-kr", "utf8\0", "\u00a0utf-8", "nonsense"]) {
    assert_throws_js(RangeError, () => new TextDecoder(label), label);
  }
}, "labels name encodings; unknown ones are a RangeError");

test(() => {
  const decoder = new TextDecoder();
  assert_equals(decoder.decode(), "");
  assert_equals(decoder.decode(bytes()), "");
  assert_equals(decoder.decode(bytes(0xe2, 0x82, 0xac, 0x61)), "\u20aca");
  assert_equals(decoder.decode(bytes(0x61, 0x62).buffer), "ab");
  assert_equals(decoder.decode(new DataView(bytes(1, 0x61, 0x62, 1).buffer, 1, 2)), "ab");
  assert_equals(decoder.decode(new Uint16Array([0x6161])), "aa");
  assert_equals(decoder.decode(bytes(0xf0, 0x9f, 0x98, 0x80)), "\u{1f600}");
  for (const bad of [null, "x", 5, {}, []]) assert_throws_js(TypeError, () => decoder.decode(bad), String(bad));
  assert_throws_js(TypeError, () => TextDecoder.prototype.decode.call({}, bytes()));
}, "decode() takes buffers and views");

test(() => {
  const cases = [
    [[0xff], "\ufffd"], [[0xc0, 0x80], "\ufffd\ufffd"], [[0xe2, 0x82], "\ufffd"], [[0xe2, 0x82, 0x41], "\ufffdA"],
    [[0xed, 0xa0, 0x80], "\ufffd\ufffd\ufffd"], [[0xf0, 0x90, 0x41], "\ufffdA"], [[0xf4, 0x90, 0x80, 0x80], "\ufffd\ufffd\ufffd\ufffd"],
    [[0xf8, 0x80], "\ufffd\ufffd"], [[0x80], "\ufffd"],
  ];
  for (const [input, text] of cases) {
    assert_equals(new TextDecoder().decode(bytes(...input)), text, String(input));
    const decoder = new TextDecoder();
    assert_equals(decoder.decode(bytes(...input), { stream: true }) + decoder.decode(), text, `${input} as a stream`);
    assert_throws_js(TypeError, () => new TextDecoder("utf-8", { fatal: true }).decode(bytes(...input)), String(input));
  }
}, "ill-formed UTF-8 is replaced as the standard says, or fatal");

test(() => {
  const input = bytes(0xef, 0xbb, 0xbf, 0x61, 0xef, 0xbb, 0xbf);
  assert_equals(new TextDecoder().decode(input), "a\ufeff");
  assert_equals(new TextDecoder("utf-8", { ignoreBOM: true }).decode(input), "\ufeffa\ufeff");
  assert_equals(new TextDecoder("utf-16le").decode(bytes(0xff, 0xfe, 0x61, 0)), "a");
  assert_equals(new TextDecoder("utf-16be", { ignoreBOM: true }).decode(bytes(0xfe, 0xff, 0, 0x61)), "\ufeffa");
  const decoder = new TextDecoder();
  assert_equals(decoder.decode(bytes(0xef, 0xbb), { stream: true }), "");
  assert_equals(decoder.decode(bytes(0xbf, 0x61), { stream: true }), "a");
  assert_equals(decoder.decode(bytes(0xef, 0xbb, 0xbf)), "\ufeff");
  assert_equals(decoder.decode(input), "a\ufeff", "the next stream has its own start");
}, "a byte order mark is dropped unless it is asked for");

test(() => {
  const text = "a\u00e9\u20ac\u{1f600}z";
  for (const [label, input] of [
    ["utf-8", [0x61, 0xc3, 0xa9, 0xe2, 0x82, 0xac, 0xf0, 0x9f, 0x98, 0x80, 0x7a]],
    ["utf-16le", [0x61, 0, 0xe9, 0, 0xac, 0x20, 0x3d, 0xd8, 0x00, 0xde, 0x7a, 0]],
    ["utf-16be", [0, 0x61, 0, 0xe9, 0x20, 0xac, 0xd8, 0x3d, 0xde, 0x00, 0, 0x7a]],
  ]) {
    for (let size = 1; size <= 4; size++) {
      const decoder = new TextDecoder(label);
      let out = "";
      for (let i = 0; i < input.length; i += size) out += decoder.decode(bytes(...input.slice(i, i + size)), { stream: true });
      assert_equals(out + decoder.decode(), text, `${label} in pieces of ${size}`);
    }
  }
}, "streams may be cut anywhere");

test(() => {
  assert_equals(new TextDecoder("windows-1252").decode(bytes(0x80, 0xe9)), "\u20ac\u00e9");
  assert_equals(new TextDecoder("shift_jis").decode(bytes(0x82, 0xa0)), "\u3042");
  assert_equals(new TextDecoder("euc-jp").decode(bytes(0xa4, 0xa2)), "\u3042");
  assert_equals(new TextDecoder("gbk").decode(bytes(0xc4, 0xe3)), "\u4f60");
  assert_equals(new TextDecoder("big5").decode(bytes(0xa7, 0x41)), "\u4f60");
  assert_equals(new TextDecoder("iso-2022-jp").decode(bytes(0x1b, 0x24, 0x42, 0x24, 0x22)), "\u3042");
  assert_equals(new TextDecoder("koi8-r").decode(bytes(0xc1)), "\u0430");
  assert_throws_js(TypeError, () => new TextDecoder("shift_jis", { fatal: true }).decode(bytes(0x82)));
}, "legacy encodings");

test(() => {
  const decoder = new TextDecoder("utf-16le", { fatal: true });
  const odd = bytes(0);
  const even = bytes(0, 0);
  assert_equals(decoder.decode(odd, { stream: true }), "");
  assert_equals(decoder.decode(odd), "\0");
  assert_throws_js(TypeError, () => {
    decoder.decode(even, { stream: true });
    decoder.decode(odd);
  });
  assert_throws_js(TypeError, () => {
    decoder.decode(odd, { stream: true });
    decoder.decode(even);
  });
  assert_equals(decoder.decode(odd, { stream: true }), "");
  assert_equals(decoder.decode(odd), "\0");
}, "fatal streams start anew after an error");

test(() => {
  for (let i = 0; i < 2000; i++) new TextDecoder("gbk").decode(bytes(0xc4), { stream: true });
  assert_equals(new TextDecoder("gbk").decode(bytes(0xc4, 0xe3)), "\u4f60");
}, "streams that are given up do no harm");

export default run;
