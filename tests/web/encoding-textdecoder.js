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
  // Of each encoding a label, its name, and a text of it that is not ASCII.
  for (const [label, name, input, text] of [
    ["cp866", "ibm866", [0x80], "\u0410"], ["latin2", "iso-8859-2", [0xa1], "\u0104"], ["latin3", "iso-8859-3", [0xa1], "\u0126"],
    ["latin4", "iso-8859-4", [0xa2], "\u0138"], ["cyrillic", "iso-8859-5", [0xa1], "\u0401"],
    ["arabic", "iso-8859-6", [0xc1], "\u0621"], ["greek8", "iso-8859-7", [0xc1], "\u0391"],
    ["hebrew", "iso-8859-8", [0xe0], "\u05d0"], ["logical", "iso-8859-8-i", [0xe0], "\u05d0"],
    ["l6", "iso-8859-10", [0xa1], "\u0104"], ["iso885913", "iso-8859-13", [0xa1], "\u201d"],
    ["iso8859-14", "iso-8859-14", [0xa1], "\u1e02"], ["l9", "iso-8859-15", [0xa4], "\u20ac"],
    ["iso-8859-16", "iso-8859-16", [0xa1], "\u0104"], ["koi8_r", "koi8-r", [0xc1], "\u0430"], ["koi8-ru", "koi8-u", [0xa4], "\u0454"],
    ["mac", "macintosh", [0x80], "\u00c4"], ["tis-620", "windows-874", [0xa1], "\u0e01"],
    ["x-cp1250", "windows-1250", [0x8a], "\u0160"], ["cp1251", "windows-1251", [0xc0], "\u0410"],
    ["l1", "windows-1252", [0x80, 0x81, 0xe9], "\u20ac\u0081\u00e9"], ["cp1253", "windows-1253", [0xc1], "\u0391"],
    ["latin5", "windows-1254", [0xdd], "\u0130"], ["cp1255", "windows-1255", [0xe0], "\u05d0"],
    ["cp1256", "windows-1256", [0xc7], "\u0627"], ["cp1257", "windows-1257", [0xc0], "\u0104"],
    ["cp1258", "windows-1258", [0xfe], "\u20ab"], ["x-mac-ukrainian", "x-mac-cyrillic", [0x80], "\u0410"],
    ["chinese", "gbk", [0xc4, 0xe3], "\u4f60"], ["GB18030", "gb18030", [0x90, 0x30, 0x81, 0x30], "\u{10000}"],
    ["big5-hkscs", "big5", [0x88, 0x62], "\u00ca\u0304"], ["x-euc-jp", "euc-jp", [0x8f, 0xb0, 0xa1], "\u4e02"],
    ["csiso2022jp", "iso-2022-jp", [0x1b, 0x24, 0x42, 0x24, 0x22, 0x1b, 0x28, 0x42], "\u3042"],
    ["windows-31j", "shift_jis", [0x82, 0xa0], "\u3042"], ["korean", "euc-kr", [0xb0, 0xa1], "\uac00"],
    ["unicodefffe", "utf-16be", [0x20, 0xac, 0xd8, 0x3d, 0xde, 0x00], "\u20ac\u{1f600}"],
    ["ucs-2", "utf-16le", [0xac, 0x20, 0x3d, 0xd8, 0x00, 0xde], "\u20ac\u{1f600}"],
    ["x-user-defined", "x-user-defined", [0x80, 0xff], "\uf780\uf7ff"], ["x-unicode20utf8", "utf-8", [0xe2, 0x82, 0xac], "\u20ac"],
  ]) {
    const decoder = new TextDecoder(`\t${label.toUpperCase()} `);
    assert_equals(decoder.encoding, name, label);
    const is_wide = name.startsWith("utf-16");
    const [before, after] = is_wide ? [[], []] : [[0x61], [0x62]];
    const all = [...before, ...input, ...after];
    const expected = is_wide ? text : `a${text}b`;
    assert_equals(decoder.decode(bytes(...all)), expected, `${name} whole`);
    for (let size = 1; size < all.length; size++) {
      let out = "";
      for (let i = 0; i < all.length; i += size) out += decoder.decode(bytes(...all.slice(i, i + size)), { stream: true });
      assert_equals(out + decoder.decode(), expected, `${name} in pieces of ${size}`);
    }
    assert_equals(new TextDecoder(label, { fatal: true }).decode(bytes(...all)), expected, `${name} fatal`);
  }
}, "each encoding decodes, whole and in pieces");

test(() => {
  const order = [];
  new TextDecoder(
    { toString: () => (order.push("label"), "utf-8") },
    { get ignoreBOM() { order.push("ignoreBOM"); }, get fatal() { order.push("fatal"); } },
  );
  assert_equals(order.join(), "label,fatal,ignoreBOM");
  const decoder = new TextDecoder();
  const options = { get stream() { order.push("stream"); } };
  assert_throws_js(TypeError, () => decoder.decode("no buffer", options));
  assert_throws_js(TypeError, () => decoder.decode(bytes(), 5));
  assert_equals(order.length, 3, "the input is looked at before the options");
  // The options' getter has the input detached, and the decoder used.
  const input = bytes(0x61, 0x62);
  const text = decoder.decode(input, {
    get stream() {
      input.buffer.transfer();
      assert_equals(decoder.decode(bytes(0xe2, 0x82), { stream: true }), "");
      return true;
    },
  });
  assert_equals(text, "");
  assert_equals(decoder.decode(bytes(0xac)), "\u20ac");
  assert_throws_js(RangeError, () => new TextDecoder("nonsense", {}));
  assert_throws_js(TypeError, () => new TextDecoder("nonsense", 5));
}, "arguments are converted in order");

test(() => {
  const buffer = new ArrayBuffer(3, { maxByteLength: 100 });
  const all = new Uint8Array(buffer);
  all.fill(0x61);
  const view = new DataView(buffer, 1);
  const decoder = new TextDecoder();
  assert_equals(decoder.decode(buffer), "aaa");
  assert_equals(decoder.decode(view), "aa");
  buffer.resize(100);
  all.fill(0x62);
  assert_equals(decoder.decode(all), "b".repeat(100));
  assert_equals(decoder.decode(view, { stream: true }) + decoder.decode(), "b".repeat(99));
  buffer.resize(0);
  for (const input of [buffer, all, view]) assert_equals(decoder.decode(input), "");
  const detached = new Uint8Array(300);
  detached.buffer.transfer();
  assert_equals(decoder.decode(detached), "");
  assert_equals(decoder.decode(detached.buffer, { stream: true }), "");
}, "resizable and detached buffers have the bytes that they have");

test(() => {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  assert_throws_js(TypeError, () => decoder.decode(bytes(0x61, 0xff, 0x62, 0xe2), { stream: true }));
  assert_equals(decoder.decode(bytes(0x63), { stream: true }), "c");
  assert_throws_js(TypeError, () => decoder.decode(bytes(0xfd, 0xef), { stream: true }));
  assert_equals(decoder.decode(), "");
  assert_throws_js(TypeError, () => decoder.decode(bytes(0xff)));
  assert_equals(decoder.decode(bytes(0x61)), "a");
}, "an error of a fatal stream takes the rest of its input with it");

test(() => {
  const word = "text with \u20ac and \u{1f600} \u00e9 ";
  for (const text of ["ascii ".repeat(2_000_000), word.repeat(200_000), "\u00e9".repeat(3_000_000), "\u4f60".repeat(1_000_000)]) {
    const input = new TextEncoder().encode(text);
    const decoder = new TextDecoder("utf-8", { fatal: true });
    assert_true(decoder.decode(input) === text, "whole");
    const parts = [];
    for (let i = 0; i < input.length; i += 65_537) parts.push(decoder.decode(input.subarray(i, i + 65_537), { stream: true }));
    assert_true(parts.join("") + decoder.decode() === text, "in pieces");
  }
}, "megabytes are decoded, whole and in pieces");

test(() => {
  for (let i = 0; i < 2000; i++) new TextDecoder("gbk").decode(bytes(0xc4), { stream: true });
  assert_equals(new TextDecoder("gbk").decode(bytes(0xc4, 0xe3)), "\u4f60");
}, "streams that are given up do no harm");

test(() => {
  // Whole inputs and pieces are decoded by different code; mostly bytes that begin, go on or end sequences.
  const marks = [0x41, 0x7f, 0x80, 0xbf, 0xc1, 0xc3, 0xe0, 0xe2, 0xed, 0xef, 0xbb, 0xf0, 0x90, 0x9f, 0xf4, 0xf5, 0xff];
  let seed = 1;
  const random = () => (seed = (seed * 48271) % 2147483647);
  for (let round = 0; round < 2000; round++) {
    const bytes = Uint8Array.from({ length: random() % 12 }, () => marks[random() % marks.length]);
    const cut = random() % (bytes.length + 1);
    for (const ignoreBOM of [false, true]) {
      const whole = new TextDecoder("utf-8", { ignoreBOM }).decode(bytes);
      const pieces = new TextDecoder("utf-8", { ignoreBOM });
      const text = pieces.decode(bytes.subarray(0, cut), { stream: true }) + pieces.decode(bytes.subarray(cut));
      assert_equals(whole, text, `${bytes} at ${cut}`);
      const fatal = () => new TextDecoder("utf-8", { ignoreBOM, fatal: true }).decode(bytes);
      // None of the marks is U+FFFD itself but in EF BF BD, which is not among them.
      if (whole.includes("\ufffd")) assert_throws_js(TypeError, fatal);
      else assert_equals(fatal(), whole);
    }
  }
}, "UTF-8 is the same text as a whole and in pieces, whatever the bytes");

export default run;
