// Compression, 4 and 5: CompressionStream and DecompressionStream.
import {
  test, promise_test, run, assert_equals, assert_true, assert_false, assert_array_equals, assert_interface,
  assert_throws_js, assert_throws_exactly, promise_rejects_js, promise_rejects_exactly, delay,
} from "./harness.js";

const FORMATS = ["deflate", "deflate-raw", "gzip", "brotli", "zstd"];
const text = (string) => new TextEncoder().encode(string);
const hex = (string) => Uint8Array.fromHex(string.replaceAll(" ", ""));

// "expected output", by other programs.
const EXPECTED = {
  deflate: hex("789c 4bad28484d2e494d51c82f2d29282d0100 30ad0624"),
  "deflate-raw": hex("4bad28484d2e494d51c82f2d29282d0100"),
  gzip: hex("1f8b0800000000000003 4bad28484d2e494d51c82f2d29282d0100 b00139b3 0f000000"),
  brotli: hex("213800 04 6578706563746564206f7574707574 03"),
};

/** All output for these chunks. */
async function transform(stream, chunks) {
  const writer = stream.writable.getWriter();
  const written = [...chunks.map((chunk) => writer.write(chunk)), writer.close()];
  for (const promise of written) promise.catch(() => {});
  const pieces = [];
  let length = 0;
  for (const reader = stream.readable.getReader(); ; ) {
    const { value, done } = await reader.read();
    if (done) break;
    assert_true(value instanceof Uint8Array && value.length > 0 && value.length <= 65536, "a piece");
    pieces.push(value);
    length += value.length;
  }
  await Promise.all(written);
  const whole = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
const compress = (format, ...chunks) => transform(new CompressionStream(format), chunks);
const decompress = (format, ...chunks) => transform(new DecompressionStream(format), chunks);

function same(actual, expected, description) {
  assert_equals(actual.length, expected.length, `${description}: length`);
  for (let i = 0; i < expected.length; i++) {
    if (actual[i] !== expected[i]) assert_equals(actual[i], expected[i], `${description}: byte ${i}`);
  }
}

function noise(length) {
  const bytes = new Uint8Array(length);
  for (let i = 0, state = 1; i < length; i++) bytes[i] = (state = (state * 1103515245 + 12345) >>> 0) >>> 16;
  return bytes;
}

test(() => {
  for (const name of ["CompressionStream", "DecompressionStream"]) {
    assert_interface(name, ["readable", "writable"], { length: 1 });
    const Class = globalThis[name];
    const stream = new Class("gzip");
    assert_true(stream.readable instanceof ReadableStream);
    assert_true(stream.writable instanceof WritableStream);
    assert_equals(stream.readable, stream.readable);
    for (const key of ["readable", "writable"]) {
      const { get, set } = Object.getOwnPropertyDescriptor(Class.prototype, key);
      assert_equals(set, undefined);
      assert_throws_js(TypeError, () => get.call({}));
      assert_throws_js(TypeError, () => get.call(new TransformStream()));
    }
    assert_throws_js(TypeError, () => new Class());
    for (const bad of ["", "a", "GZIP", "gzip ", "toString", "__proto__", undefined, null, 0]) {
      assert_throws_js(TypeError, () => new Class(bad), String(bad));
    }
    assert_throws_exactly(name, () => new Class({ toString() { throw name; } }));
    new Class({ toString: () => "deflate" });
  }
}, "the interfaces have a format and two streams");

for (const format of FORMATS) {
  promise_test(async () => {
    if (format in EXPECTED) assert_equals(String(await decompress(format, EXPECTED[format])), String(text("expected output")));
    for (const bytes of [text(""), text("a"), text("words and words ".repeat(20_000)), noise(300_000)]) {
      same(await decompress(format, await compress(format, bytes)), bytes, `${bytes.length} bytes`);
    }
    const compressed = await compress(format, new Uint8Array(3_000_000));
    assert_true(compressed.length < 10_000);
    same(await decompress(format, compressed), new Uint8Array(3_000_000), "zeros");
  }, `${format}: what was compressed is decompressed to itself`);

  promise_test(async () => {
    const bytes = text("one two three one two three four");
    const pieces = await compress(format, bytes.subarray(0, 5), new Uint8Array(), bytes.subarray(5).slice().buffer);
    for (let size = 1; size < 16; size++) {
      const chunks = [];
      for (let at = 0; at < pieces.length; at += size) chunks.push(pieces.subarray(at, at + size), new Uint8Array());
      same(await decompress(format, ...chunks), bytes, `pieces of ${size}`);
    }
    same(await decompress(format, new DataView(pieces.buffer)), bytes, "a DataView");
    same(await decompress(format, new Int8Array(pieces.buffer)), bytes, "an Int8Array");
    assert_true((await compress(format)).length > 0);
    same(await decompress(format, await compress(format)), new Uint8Array(), "nothing");
  }, `${format}: chunks may be any buffers, cut anywhere`);

  promise_test(async () => {
    const detached = new Uint8Array(9);
    detached.buffer.transfer();
    const bytes = text("kept");
    same(await decompress(format, await compress(format, bytes, detached, detached.buffer)), bytes, "detached");
    for (const Class of [CompressionStream, DecompressionStream]) {
      for (const bad of [undefined, null, 3.14, "x", {}, [65]]) {
        const stream = new Class(format);
        const reader = stream.readable.getReader();
        const writer = stream.writable.getWriter();
        const written = writer.write(bad);
        const read = reader.read();
        await promise_rejects_js(TypeError, written, `write ${String(bad)}`);
        await promise_rejects_js(TypeError, read, `read ${String(bad)}`);
        await promise_rejects_js(TypeError, writer.closed);
        await promise_rejects_js(TypeError, reader.closed);
        await promise_rejects_js(TypeError, writer.close());
      }
    }
  }, `${format}: a chunk that is no buffer errors both sides`);

  promise_test(async () => {
    const compressed = await compress(format, text("expected output"));
    for (let length = 0; length < compressed.length; length++) {
      await promise_rejects_js(TypeError, decompress(format, compressed.subarray(0, length)), `${length} bytes`);
    }
    const stream = new DecompressionStream(format);
    const closed = stream.writable.getWriter().close();
    const read = stream.readable.getReader().read();
    await promise_rejects_js(TypeError, closed);
    await promise_rejects_js(TypeError, read);
  }, `${format}: what is cut off is a TypeError`);

  promise_test(async () => {
    const compressed = await compress(format, text("expected output"));
    for (const chunks of [[Uint8Array.of(...compressed, 0)], [compressed, Uint8Array.of(0)]]) {
      const stream = new DecompressionStream(format);
      const reader = stream.readable.getReader();
      const writer = stream.writable.getWriter();
      const written = chunks.map((chunk) => writer.write(chunk));
      same((await reader.read()).value, text("expected output"), "the output");
      await promise_rejects_js(TypeError, reader.read());
      await promise_rejects_js(TypeError, written.at(-1));
    }
    same(await decompress(format, compressed, new Uint8Array()), text("expected output"), "an empty chunk");
  }, `${format}: data behind the end is a TypeError, after the output`);

  promise_test(async () => {
    const compressed = await compress(format, text("expected output ".repeat(9)));
    for (let at = 0; at < compressed.length; at++) {
      const damaged = compressed.slice();
      damaged[at] ^= 0xff;
      try {
        await decompress(format, damaged);
      } catch (error) {
        assert_equals(error.constructor, TypeError, `byte ${at}`);
      }
    }
  }, `${format}: damaged data is data or a TypeError`);

  promise_test(async () => {
    for (const Class of [CompressionStream, DecompressionStream]) {
      const reason = new Error("reason");
      let stream = new Class(format);
      let writer = stream.writable.getWriter();
      const canceled = stream.readable.cancel(reason);
      await promise_rejects_exactly(reason, writer.closed);
      await canceled;
      stream = new Class(format);
      writer = stream.writable.getWriter();
      await writer.abort(reason);
      await promise_rejects_exactly(reason, stream.readable.getReader().read());
    }
  }, `${format}: a stream can be cancelled and aborted`);
}

promise_test(async () => {
  // RFC 1950 and 1952: what may be any value, and what may not.
  for (const [format, at, value, fails] of [
    ["deflate", 0, 0, true], ["deflate", 1, 218, false], ["deflate", 1, 1, false], ["deflate", 1, 94, false],
    ["deflate", 1, 157, true], ["deflate", -1, 255, true], ["gzip", 0, 255, true], ["gzip", 2, 0, true],
    ["gzip", 3, 1, false], ["gzip", 3, 2, true], ["gzip", 3, 0xe0, true], ["gzip", 4, 255, false], ["gzip", 8, 255, false],
    ["gzip", 9, 128, false], ["gzip", -8, 0, true], ["gzip", -1, 1, true],
  ]) {
    const damaged = EXPECTED[format].slice();
    damaged.set([value], at < 0 ? damaged.length + at : at);
    const result = decompress(format, damaged);
    if (fails) await promise_rejects_js(TypeError, result, `${format} ${at} ${value}`);
    else same(await result, text("expected output"), `${format} ${at} ${value}`);
  }
  const preset = hex("78bb 74ee0959 2b c12e0c00 74ee0959");
  await promise_rejects_js(TypeError, decompress("deflate", preset), "a preset dictionary");
}, "the fields of headers and the checksums count");

promise_test(async () => {
  const [one, two] = [await compress("zstd", text("one ")), await compress("zstd", text("two"))];
  const skipped = hex("502a4d18 02000000 ffff");
  const both = Uint8Array.of(...skipped, ...one, ...skipped, ...two, ...skipped);
  same(await decompress("zstd", both), text("one two"), "zstd");
  const gzip = await compress("gzip", text("one"));
  await promise_rejects_js(TypeError, decompress("gzip", gzip, gzip));
}, "zstd's frames may follow each other, gzip's members may not");

promise_test(async () => {
  // 400 MB, which a guest has no room for.
  const bomb = await compress("gzip", ...new Array(100).fill(new Uint8Array(4_000_000)));
  assert_true(bomb.length < 500_000);
  const stream = new DecompressionStream("gzip");
  const writer = stream.writable.getWriter();
  let written = false;
  writer.write(bomb).then(() => (written = true), () => {});
  const reader = stream.readable.getReader();
  let length = 0;
  while (length < 10_000_000) {
    length += (await reader.read()).value.length;
    bomb.fill(0);
  }
  await delay(1);
  assert_false(written, "it waits for its reader");
  await reader.cancel();
}, "a decompression bomb waits until what it has given was read");

promise_test(async () => {
  const bytes = noise(1_000_000);
  const copy = bytes.slice();
  const stream = new CompressionStream("deflate");
  const writer = stream.writable.getWriter();
  writer.write(bytes);
  writer.close();
  let output;
  Object.defineProperty(Object.prototype, "then", {
    configurable: true,
    get() {
      if (bytes.length > 0) bytes.buffer.transfer();
    },
  });
  try {
    const pieces = [];
    for (const reader = stream.readable.getReader(); ; ) {
      const { value, done } = await reader.read();
      if (done) break;
      pieces.push(...value);
    }
    output = Uint8Array.from(pieces);
  } finally {
    delete Object.prototype.then;
  }
  assert_equals(bytes.length, 0);
  same(await decompress("deflate", output), copy, "all of it");
}, "a chunk that is detached while its output is read is compressed whole");

promise_test(async () => {
  const source = new ReadableStream({
    pull(controller) {
      controller.enqueue(text("word "));
      if (++this.count === 1000) controller.close();
    },
    count: 0,
  });
  const piped = source.pipeThrough(new CompressionStream("gzip")).pipeThrough(new DecompressionStream("gzip"));
  assert_equals(await new Response(piped).text(), "word ".repeat(1000));
}, "they are links of a pipe");

promise_test(async () => {
  for (let i = 0; i < 300; i++) {
    const stream = new DecompressionStream("zstd");
    stream.writable.getWriter().write(hex("28b52ffd0068")).catch(() => {});
    stream.readable.getReader().read().catch(() => {});
    await undefined;
  }
}, "streams that are given up leave room for others");

export default run;
