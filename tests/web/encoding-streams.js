// Encoding, 7.5 TextDecoderStream and 7.6 TextEncoderStream.
import {
  test, promise_test, run, assert_equals, assert_true, assert_false, assert_array_equals, assert_interface,
  assert_throws_js, assert_throws_exactly, promise_rejects_js, promise_rejects_exactly, flush_microtasks,
} from "./harness.js";

const bytes = (...values) => new Uint8Array(values);

/** The chunks that come out for these. */
async function transform(stream, chunks) {
  const writer = stream.writable.getWriter();
  const written = [...chunks.map((chunk) => writer.write(chunk)), writer.close()];
  for (const promise of written) promise.catch(() => {});
  const out = [];
  for await (const chunk of stream.readable) out.push(chunk);
  await Promise.all(written);
  return out;
}
const encode = async (...chunks) => (await transform(new TextEncoderStream(), chunks)).map((chunk) => [...chunk]);
const decode = (stream, ...chunks) => transform(stream, chunks);
const shown = JSON.stringify;

test(() => {
  assert_interface("TextEncoderStream", ["encoding", "readable", "writable"]);
  const stream = new TextEncoderStream();
  assert_equals(stream.encoding, "utf-8");
  assert_true(stream.readable instanceof ReadableStream);
  assert_true(stream.writable instanceof WritableStream);
  assert_equals(stream.readable, stream.readable);
  assert_interface("TextDecoderStream", ["encoding", "fatal", "ignoreBOM", "readable", "writable"]);
  const decoder = new TextDecoderStream();
  assert_equals(decoder.encoding, "utf-8");
  assert_equals(decoder.fatal, false);
  assert_equals(decoder.ignoreBOM, false);
  assert_equals(decoder.writable, decoder.writable);
  const other = new TextDecoderStream(" Latin1\n", { fatal: 1, ignoreBOM: "x" });
  assert_equals(other.encoding, "windows-1252");
  assert_equals(other.fatal, true);
  assert_equals(other.ignoreBOM, true);
  for (const label of ["", "utf-32", "replacement", "iso-2022-kr"]) {
    assert_throws_js(RangeError, () => new TextDecoderStream(label), label);
  }
  assert_throws_js(TypeError, () => new TextDecoderStream("utf-8", 1));
  const order = [];
  new TextDecoderStream(
    { toString: () => (order.push("label"), "utf-8") },
    { get ignoreBOM() { order.push("ignoreBOM"); }, get fatal() { order.push("fatal"); } },
  );
  assert_equals(order.join(), "label,fatal,ignoreBOM");
  for (const key of ["encoding", "readable", "writable"]) {
    const of = (Class) => Object.getOwnPropertyDescriptor(Class.prototype, key).get;
    assert_throws_js(TypeError, () => of(TextDecoderStream).call(stream), key);
    assert_throws_js(TypeError, () => of(TextEncoderStream).call(decoder), key);
  }
}, "the interfaces and their attributes");

promise_test(async () => {
  for (const [chunks, expected] of [
    [[], []], [[""], []], [["", "", "a", ""], [[97]]], [["a\u00e9", "\u20ac"], [[97, 0xc3, 0xa9], [0xe2, 0x82, 0xac]]],
    [["\ud83d\ude00"], [[0xf0, 0x9f, 0x98, 0x80]]], [["\ud83d", "\ude00"], [[0xf0, 0x9f, 0x98, 0x80]]],
    [["\ud83d", "", "\ude00x"], [[0xf0, 0x9f, 0x98, 0x80, 120]]],
    [["a\ud83d", "\ude00"], [[97], [0xf0, 0x9f, 0x98, 0x80]]],
    [["\ud83d"], [[0xef, 0xbf, 0xbd]]], [["\ud83d", "x"], [[0xef, 0xbf, 0xbd, 120]]],
    [["\ud83d", "\ud83d", "\ude00"], [[0xef, 0xbf, 0xbd], [0xf0, 0x9f, 0x98, 0x80]]],
    [["\ude00", "\ud83d"], [[0xef, 0xbf, 0xbd], [0xef, 0xbf, 0xbd]]],
    [[undefined, null, 12], [[..."undefined"].map((c) => c.charCodeAt()), [110, 117, 108, 108], [49, 50]]],
    [[{ toString: () => "b" }, ["c"]], [[98], [99]]],
  ]) {
    assert_equals(shown(await encode(...chunks)), shown(expected), shown(chunks));
  }
  const long = `${"\u20ac".repeat(50_000)}\ud83d`;
  assert_equals((await encode(long, "\ude00")).map((chunk) => chunk.length).join(), "150000,4");
  assert_true((await transform(new TextEncoderStream(), ["a"]))[0] instanceof Uint8Array);
}, "strings are encoded, characters whole though they be split between chunks");

promise_test(async () => {
  for (const [bad, check] of [
    [Symbol("s"), (promise) => promise_rejects_js(TypeError, promise)],
    [{ toString() { throw bad_reason; } }, (promise) => promise_rejects_exactly(bad_reason, promise)],
    [Object.create(null), (promise) => promise_rejects_js(TypeError, promise)],
  ]) {
    const stream = new TextEncoderStream();
    const writer = stream.writable.getWriter();
    const reader = stream.readable.getReader();
    const written = writer.write(bad);
    await check(reader.read());
    await check(written);
    await check(writer.closed);
    await check(reader.closed);
  }
}, "what is no string errors both sides");
const bad_reason = new Error("bad");

promise_test(async () => {
  const euro = bytes(0xe2, 0x82, 0xac);
  assert_equals(shown(await decode(new TextDecoderStream(), euro, bytes(97), bytes())), shown(["\u20ac", "a"]));
  for (let cut = 1; cut < 3; cut++) {
    const pieces = [euro.subarray(0, cut), bytes(), euro.subarray(cut)];
    assert_equals(shown(await decode(new TextDecoderStream(), ...pieces)), shown(["\u20ac"]));
  }
  assert_equals(shown(await decode(new TextDecoderStream(), bytes(97, 0xe2, 0x82))), shown(["a", "\ufffd"]));
  assert_equals(shown(await decode(new TextDecoderStream(), bytes(0xff), bytes(97))), shown(["\ufffd", "a"]));
  assert_equals(shown(await decode(new TextDecoderStream())), "[]");
  const buffers = [euro.buffer, new DataView(euro.buffer)];
  assert_equals(shown(await decode(new TextDecoderStream(), ...buffers)), shown(["\u20ac", "\u20ac"]));
  const detached = bytes(97);
  detached.buffer.transfer();
  assert_equals(shown(await decode(new TextDecoderStream(), detached, detached.buffer, bytes(98))), shown(["b"]));
  const japanese = [bytes(0x82), bytes(0xa0, 0x82), bytes(0xa0)];
  assert_equals(shown(await decode(new TextDecoderStream("shift_jis"), ...japanese)), shown(["\u3042", "\u3042"]));
  assert_equals(shown(await decode(new TextDecoderStream("utf-16be"), bytes(0xd8, 0x3d, 0xde), bytes(0x00))), shown(["\u{1f600}"]));
  assert_equals(
    (await decode(new TextDecoderStream("iso-2022-jp"), bytes(0x1b, 0x24), bytes(0x42, 0x24), bytes(0x22, 0x1b, 0x28, 0x42), bytes(97))).join("|"),
    "\u3042|a",
  );
}, "bytes are decoded, characters whole though they be split between chunks");

promise_test(async () => {
  const bom = [0xef, 0xbb, 0xbf];
  for (const [options, expected] of [[{}, "a\ufeff"], [{ ignoreBOM: true }, "\ufeffa\ufeff"], [{ fatal: true }, "a\ufeff"]]) {
    for (let size = 1; size < 8; size++) {
      const input = [...bom, 97, ...bom];
      const chunks = [];
      for (let at = 0; at < input.length; at += size) chunks.push(bytes(...input.slice(at, at + size)));
      assert_equals((await decode(new TextDecoderStream("utf-8", options), ...chunks)).join(""), expected, `${shown(options)} ${size}`);
    }
  }
  assert_equals((await decode(new TextDecoderStream("utf-16le"), bytes(0xff), bytes(0xfe, 97), bytes(0))).join(""), "a");
}, "a byte order mark at the start is dropped unless it is asked for");

promise_test(async () => {
  const fatal = () => new TextDecoderStream("utf-8", { fatal: true });
  let stream = fatal();
  let writer = stream.writable.getWriter();
  let reader = stream.readable.getReader();
  const written = writer.write(bytes(97, 0xff, 98));
  await promise_rejects_js(TypeError, reader.read());
  await promise_rejects_js(TypeError, written);
  await promise_rejects_js(TypeError, writer.closed);
  await promise_rejects_js(TypeError, reader.closed);
  stream = fatal();
  writer = stream.writable.getWriter();
  reader = stream.readable.getReader();
  writer.write(bytes(97, 0xe2));
  const closed = writer.close();
  assert_equals((await reader.read()).value, "a");
  await promise_rejects_js(TypeError, reader.read());
  await promise_rejects_js(TypeError, closed);
}, "ill-formed data errors both sides of a fatal stream, also at its end");

promise_test(async () => {
  for (const bad of [undefined, null, 5, "x", {}, [97]]) {
    const stream = new TextDecoderStream();
    const writer = stream.writable.getWriter();
    const reader = stream.readable.getReader();
    const written = writer.write(bad);
    await promise_rejects_js(TypeError, reader.read(), String(bad));
    await promise_rejects_js(TypeError, written, String(bad));
  }
}, "a chunk that is no buffer errors both sides");

promise_test(async () => {
  for (const [Class, chunk] of [[TextEncoderStream, "a"], [TextDecoderStream, bytes(97)]]) {
    let stream = new Class();
    let writer = stream.writable.getWriter();
    assert_equals(writer.desiredSize, 1);
    let written = false;
    writer.write(chunk).then(() => (written = true));
    assert_equals(writer.desiredSize, 0);
    await flush_microtasks();
    assert_false(written, "nobody reads");
    const reader = stream.readable.getReader();
    await reader.read();
    await flush_microtasks();
    assert_true(written, "somebody has read");
    const reason = new Error("reason");
    await reader.cancel(reason);
    await promise_rejects_exactly(reason, writer.closed);
    stream = new Class();
    writer = stream.writable.getWriter();
    await writer.abort(reason);
    await promise_rejects_exactly(reason, stream.readable.getReader().read());
  }
}, "a write waits for a reader; streams can be cancelled and aborted");

promise_test(async () => {
  const words = new ReadableStream({
    start(controller) {
      for (const word of ["a\ud83d", "\ude00", "\u20ac"]) controller.enqueue(word);
      controller.close();
    },
  });
  const text = words.pipeThrough(new TextEncoderStream()).pipeThrough(new TextDecoderStream());
  assert_array_equals(await Array.fromAsync(text), ["a", "\u{1f600}", "\u20ac"]);
}, "they are links of a pipe");

promise_test(async () => {
  const saved = [String.prototype, TransformStream.prototype].map((prototype) => [
    prototype, Object.getOwnPropertyDescriptors(prototype),
  ]);
  try {
    String.prototype.charCodeAt = String.prototype.slice = () => { throw bad_reason; };
    for (const key of ["readable", "writable"]) {
      Object.defineProperty(TransformStream.prototype, key, { get() { throw bad_reason; }, configurable: true });
    }
    assert_equals(shown(await encode("a\ud83d", "\ude00")), "[[97],[240,159,152,128]]");
    assert_equals(shown(await decode(new TextDecoderStream(), bytes(97))), '["a"]');
  } finally {
    for (const [prototype, descriptors] of saved) {
      for (const key of ["charCodeAt", "slice", "readable", "writable"]) {
        if (key in descriptors) Object.defineProperty(prototype, key, descriptors[key]);
      }
    }
  }
}, "patched prototypes do not reach into them");

test(() => {
  assert_throws_exactly(bad_reason, () => new TextDecoderStream({ toString() { throw bad_reason; } }));
}, "an exception of a conversion is the constructor's");

export default run;
