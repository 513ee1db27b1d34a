// Streams, 4 Readable streams.
import {
  test, promise_test, run, assert_equals, assert_true, assert_false, assert_array_equals, assert_interface,
  assert_throws_js, assert_throws_exactly, promise_rejects_js, promise_rejects_exactly, delay, flush_microtasks,
} from "./harness.js";

const of = (...chunks) =>
  new ReadableStream({
    start(c) {
      for (const chunk of chunks) c.enqueue(chunk);
      c.close();
    },
  });

async function all(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

test(() => {
  assert_interface("ReadableStream", ["locked", "cancel", "getReader", "tee", "values"]);
  assert_interface("ReadableStreamDefaultReader", ["read", "releaseLock", "cancel"], { length: 1 });
  assert_interface("ReadableStreamDefaultController", ["desiredSize", "close", "enqueue", "error"]);
  assert_interface("ReadableByteStreamController", ["byobRequest", "desiredSize", "close", "enqueue", "error"]);
  assert_throws_js(TypeError, () => new ReadableStreamDefaultController());
  assert_throws_js(TypeError, () => new ReadableByteStreamController());
  assert_equals(ReadableStream.prototype[Symbol.asyncIterator], ReadableStream.prototype.values);
}, "the interfaces are as Web IDL says");

test(() => {
  new ReadableStream();
  new ReadableStream({});
  new ReadableStream(undefined, undefined);
  assert_throws_js(TypeError, () => new ReadableStream(null));
  assert_throws_js(TypeError, () => new ReadableStream("x"));
  assert_throws_js(TypeError, () => new ReadableStream({ start: 1 }));
  assert_throws_js(TypeError, () => new ReadableStream({ pull: null }));
  assert_throws_js(TypeError, () => new ReadableStream({ type: "" }));
  assert_throws_js(TypeError, () => new ReadableStream({ type: "BYTES" }));
  assert_throws_js(RangeError, () => new ReadableStream({}, { highWaterMark: -1 }));
  assert_throws_js(RangeError, () => new ReadableStream({}, { highWaterMark: NaN }));
  assert_throws_js(TypeError, () => new ReadableStream({}, { size: 1 }));
  assert_throws_js(RangeError, () => new ReadableStream({ type: "bytes" }, { size: () => 1 }));
  const error = new Error("start");
  assert_throws_exactly(error, () => new ReadableStream({ start() { throw error; } }));
}, "the constructor checks its arguments");

promise_test(async () => {
  const source = {
    started: 0,
    start(c) {
      this.started++;
      this.controller = c;
      assert_true(c instanceof ReadableStreamDefaultController);
    },
  };
  const stream = new ReadableStream(source);
  assert_equals(source.started, 1);
  assert_equals(source.controller.desiredSize, 1);
  source.controller.enqueue("a");
  assert_equals(source.controller.desiredSize, 0);
  source.controller.enqueue("b");
  assert_equals(source.controller.desiredSize, -1);
  source.controller.close();
  assert_throws_js(TypeError, () => source.controller.enqueue("c"));
  assert_throws_js(TypeError, () => source.controller.close());
  const reader = stream.getReader();
  const first = await reader.read();
  assert_equals(first.value, "a");
  assert_false(first.done);
  assert_equals((await reader.read()).value, "b");
  const end = await reader.read();
  assert_equals(end.value, undefined);
  assert_true(end.done);
  await reader.closed;
  assert_equals(source.controller.desiredSize, 0);
}, "chunks come in order, then the end");

promise_test(async () => {
  const pulls = [];
  const stream = new ReadableStream({
    pull(c) {
      pulls.push(c.desiredSize);
      c.enqueue(pulls.length);
      if (pulls.length === 5) c.close();
    },
  }, { highWaterMark: 2 });
  await flush_microtasks();
  assert_array_equals(pulls, [2, 1]);
  const reader = stream.getReader();
  assert_equals((await reader.read()).value, 1);
  await flush_microtasks();
  assert_equals(pulls.length, 3);
  reader.releaseLock();
  assert_array_equals(await all(stream), [2, 3, 4, 5]);
}, "pull is called up to the high-water mark, and again as chunks are read");

promise_test(async () => {
  let pulls = 0;
  let finish;
  const stream = new ReadableStream({
    pull() {
      pulls++;
      return new Promise((resolve) => (finish = resolve));
    },
  }, { highWaterMark: 0 });
  await flush_microtasks();
  assert_equals(pulls, 0);
  const reader = stream.getReader();
  reader.read();
  await flush_microtasks();
  reader.read();
  await flush_microtasks();
  assert_equals(pulls, 1);
  finish();
  await flush_microtasks();
  assert_equals(pulls, 2);
}, "one pull runs at a time");

promise_test(async () => {
  const error = new Error("pull");
  const stream = new ReadableStream({ pull: () => Promise.reject(error) });
  const reader = stream.getReader();
  await promise_rejects_exactly(error, reader.read());
  await promise_rejects_exactly(error, reader.closed);
  await promise_rejects_exactly(error, reader.cancel());
  const starting = new ReadableStream({ start: () => Promise.reject(error) });
  await promise_rejects_exactly(error, starting.getReader().read());
}, "a rejection of start or pull errors the stream");

promise_test(async () => {
  let controller;
  const stream = new ReadableStream({ start: (c) => (controller = c) });
  const reader = stream.getReader();
  const reads = [reader.read(), reader.read()];
  const error = { name: "mine" };
  controller.enqueue(1);
  controller.error(error);
  controller.error("again");
  assert_equals((await reads[0]).value, 1);
  await promise_rejects_exactly(error, reads[1]);
  assert_equals(controller.desiredSize, null);
  assert_throws_js(TypeError, () => controller.enqueue(1));
}, "error() rejects the pending reads");

test(() => {
  const stream = of(1);
  assert_false(stream.locked);
  const reader = stream.getReader();
  assert_true(stream.locked);
  assert_throws_js(TypeError, () => stream.getReader());
  assert_throws_js(TypeError, () => new ReadableStreamDefaultReader(stream));
  assert_throws_js(TypeError, () => new ReadableStreamDefaultReader({}));
  assert_throws_js(TypeError, () => stream.tee());
  assert_throws_js(TypeError, () => stream.values());
  assert_throws_js(TypeError, () => stream.getReader({ mode: "nonsense" }));
  reader.releaseLock();
  reader.releaseLock();
  assert_false(stream.locked);
  stream.getReader(null);
}, "a reader locks its stream");

promise_test(async () => {
  const stream = new ReadableStream();
  const reader = stream.getReader();
  const pending = reader.read();
  const { closed } = reader;
  reader.releaseLock();
  await promise_rejects_js(TypeError, pending);
  await promise_rejects_js(TypeError, closed);
  assert_equals(reader.closed, closed);
  await promise_rejects_js(TypeError, reader.read());
  await promise_rejects_js(TypeError, reader.cancel());
  await promise_rejects_js(TypeError, ReadableStreamDefaultReader.prototype.read.call({}));
  const ended = of().getReader();
  const before = ended.closed;
  ended.releaseLock();
  await before;
  await promise_rejects_js(TypeError, ended.closed);
}, "a released reader reads no more");

promise_test(async () => {
  let reason;
  const stream = new ReadableStream({
    cancel(r) {
      reason = r;
      return delay(1);
    },
  });
  assert_equals(await stream.cancel("why"), undefined);
  assert_equals(reason, "why");
  assert_true((await stream.getReader().read()).done);
  const error = new Error("cancel");
  await promise_rejects_exactly(error, new ReadableStream({ cancel() { throw error; } }).cancel());
  const locked = of(1);
  locked.getReader();
  await promise_rejects_js(TypeError, locked.cancel());
  await promise_rejects_js(TypeError, ReadableStream.prototype.cancel.call({}));
}, "cancel() tells the source and closes");

promise_test(async () => {
  let sizes = [];
  const stream = new ReadableStream({
    start(c) {
      for (const chunk of ["ab", "cde"]) {
        c.enqueue(chunk);
        sizes.push(c.desiredSize);
      }
    },
  }, { highWaterMark: 10, size: (chunk) => chunk.length });
  assert_array_equals(sizes, [8, 5]);
  await stream.cancel();
  const error = new Error("size");
  let controller;
  const bad = new ReadableStream({ start: (c) => (controller = c) }, { size() { throw error; } });
  assert_throws_exactly(error, () => controller.enqueue(1));
  await promise_rejects_exactly(error, bad.getReader().read());
  new ReadableStream({ start: (c) => (controller = c) }, { size: () => -1 });
  assert_throws_js(RangeError, () => controller.enqueue(1));
}, "the strategy's size counts");

promise_test(async () => {
  assert_array_equals(await all(of(1, 2, 3)), [1, 2, 3]);
  let canceled;
  const source = () => new ReadableStream({
    start: (c) => [1, 2, 3].forEach((x) => c.enqueue(x)),
    cancel: (reason) => (canceled = [reason]),
  });
  let stream = source();
  for await (const chunk of stream) {
    assert_equals(chunk, 1);
    break;
  }
  assert_array_equals(canceled, [undefined]);
  assert_false(stream.locked);
  canceled = undefined;
  stream = source();
  for await (const _ of stream.values({ preventCancel: true })) break;
  assert_equals(canceled, undefined);
  assert_equals((await stream.getReader().read()).value, 2);
}, "for await reads to the end, and cancels when it is left");

promise_test(async () => {
  const iterator = of(1, 2)[Symbol.asyncIterator]();
  assert_equals(iterator[Symbol.asyncIterator](), iterator);
  assert_array_equals(Object.getOwnPropertyNames(Object.getPrototypeOf(iterator)).sort(), ["next", "return"]);
  assert_array_equals([iterator.next.length, iterator.return.length], [0, 1]);
  assert_equals(Object.prototype.toString.call(iterator), "[object ReadableStream AsyncIterator]");
  const [a, b, c, d] = await Promise.all([iterator.next(), iterator.next(), iterator.next(), iterator.next()]);
  assert_array_equals([a.value, b.value, c.value, a.done, c.done, d.done], [1, 2, undefined, false, true, true]);
  const returned = await iterator.return("x");
  assert_array_equals([returned.value, returned.done], ["x", true]);
  await promise_rejects_js(TypeError, iterator.next.call({}));
  const error = new Error();
  const failing = new ReadableStream({ start: (c) => c.error(error) }).values();
  await promise_rejects_exactly(error, failing.next());
  assert_true((await failing.next()).done);
}, "the async iterator answers its calls in order");

promise_test(async () => {
  const iterator = of(1, 2, 3, 4).values();
  const first = iterator.next();
  const second = iterator.next();
  await first;
  const rest = [iterator.next(), iterator.next(), iterator.next()];
  assert_array_equals((await Promise.all([first, second, ...rest])).map(({ value }) => value), [1, 2, 3, 4, undefined]);
  let controller;
  const slow = new ReadableStream({ start: (c) => (controller = c) }).values();
  const reads = [slow.next(), slow.next()];
  controller.enqueue("a");
  await reads[0];
  await flush_microtasks();
  const returned = slow.return("r");
  controller.enqueue("b");
  assert_equals((await reads[1]).value, "b");
  assert_equals((await returned).value, "r");
  assert_true((await slow.next()).done);
}, "calls of the async iterator that come while earlier ones wait are in order, too");

promise_test(async () => {
  let iterator;
  let inner;
  const stream = new ReadableStream({
    start(c) {
      c.enqueue(1);
      c.enqueue(2);
    },
    pull() {
      inner ??= iterator.next();
    },
  }, { highWaterMark: 2 });
  iterator = stream.values();
  await flush_microtasks();
  const outer = iterator.next();
  assert_array_equals([(await outer).value, (await inner).value], [1, 2]);
}, "a pull that calls next() on the iterator gets a chunk of its own");

promise_test(async () => {
  const [a, b] = of("x", "y").tee();
  assert_array_equals(await all(a), ["x", "y"]);
  assert_array_equals(await all(b), ["x", "y"]);
  let reasons;
  const [c, d] = new ReadableStream({ cancel: (r) => (reasons = r) }).tee();
  const first = c.cancel(1);
  assert_equals(reasons, undefined);
  await d.cancel(2);
  await first;
  assert_array_equals(reasons, [1, 2]);
  const error = new Error();
  const [e, f] = new ReadableStream({ pull() { throw error; } }).tee();
  await promise_rejects_exactly(error, e.getReader().read());
  await promise_rejects_exactly(error, f.getReader().read());
}, "tee() gives both the chunks, the end and the error");

promise_test(async () => {
  const pulls = [];
  const [a, b] = new ReadableStream({
    pull(c) {
      pulls.push(1);
      c.enqueue(pulls.length);
    },
  }, { highWaterMark: 0 }).tee();
  const slow = b.getReader();
  const fast = a.getReader();
  for (let i = 1; i <= 4; i++) assert_equals((await fast.read()).value, i);
  for (let i = 1; i <= 4; i++) assert_equals((await slow.read()).value, i);
  a.locked && (await Promise.all([fast.cancel(), slow.cancel()]));
}, "tee()'s branches may go at different speeds");

promise_test(async () => {
  assert_array_equals(await all(ReadableStream.from([1, 2])), [1, 2]);
  assert_array_equals(await all(ReadableStream.from("ab")), ["a", "b"]);
  assert_array_equals(await all(ReadableStream.from([Promise.resolve(1)])), [1]);
  assert_array_equals(await all(ReadableStream.from((async function* () { yield 1; yield 2; })())), [1, 2]);
  assert_array_equals(await all(ReadableStream.from(of(3))), [3]);
  for (const bad of [undefined, null, 5, {}, Symbol.iterator, { [Symbol.iterator]: 1 }]) {
    assert_throws_js(TypeError, () => ReadableStream.from(bad), String(bad));
  }
  let returned;
  const iterable = {
    [Symbol.asyncIterator]: () => ({
      next: async () => ({ value: 1, done: false }),
      return: async (reason) => ((returned = reason), {}),
    }),
  };
  const stream = ReadableStream.from(iterable);
  assert_equals((await stream.getReader().read()).value, 1);
  const other = ReadableStream.from(iterable);
  await other.cancel("r");
  assert_equals(returned, "r");
  const error = new Error();
  await promise_rejects_exactly(error, ReadableStream.from((function* () { throw error; })()).getReader().read());
}, "ReadableStream.from() takes what can be iterated");

promise_test(async () => {
  let controller;
  const stream = new ReadableStream({ type: "bytes", start: (c) => (controller = c) });
  assert_true(controller instanceof ReadableByteStreamController);
  assert_equals(controller.desiredSize, 0);
  assert_equals(controller.byobRequest, null);
  const chunk = new Uint8Array([1, 2, 3]);
  controller.enqueue(chunk.subarray(1));
  assert_equals(chunk.byteLength, 0, "the buffer was taken over");
  assert_equals(controller.desiredSize, -2);
  controller.enqueue(new Uint16Array([0x0101]));
  for (const bad of [undefined, "x", new ArrayBuffer(1), new Uint8Array(0), chunk]) {
    assert_throws_js(TypeError, () => controller.enqueue(bad));
  }
  controller.close();
  const [a, b] = await all(stream);
  assert_true(a instanceof Uint8Array);
  assert_array_equals(a, [2, 3]);
  assert_true(b instanceof Uint8Array);
  assert_array_equals(b, [1, 1]);
}, "a byte stream gives Uint8Arrays and takes the buffers over");

promise_test(async () => {
  const stream = new ReadableStream({
    type: "bytes",
    start(c) {
      c.enqueue(new Uint8Array([1, 2]));
      c.close();
    },
  });
  const [a, b] = stream.tee();
  const [[x], [y]] = [await all(a), await all(b)];
  assert_array_equals(x, [1, 2]);
  assert_array_equals(y, [1, 2]);
  assert_false(x.buffer === y.buffer);
}, "a byte stream's branches have chunks of their own");

promise_test(async () => {
  const response = new Response(of({ a: [1] }, "text"));
  const clone = response.clone();
  const [mine, other] = [await all(response.body), await all(clone.body)];
  assert_array_equals(other[0].a, [1]);
  assert_false(mine[0] === other[0]);
  assert_array_equals([mine[1], other[1]], ["text", "text"]);
}, "a clone's body has chunks of its own, of any kind");

promise_test(async () => {
  // What is lazy is loaded, so that the setters meet the streams' own work only.
  await new Response(of(new Uint8Array(1)).pipeThrough(new CompressionStream("gzip"))).bytes();
  new ReadableStream({ type: "bytes" }).tee();
  let seen = "";
  const names = ["0", "1", "2", "highWaterMark", "size", "cancel", "pull", "head", "items", "filled", "write", "ongoing"];
  for (const name of names) {
    const trap = { __proto__: null, set: () => void (seen += `${name} `), configurable: true };
    Object.defineProperty(Object.prototype, name, trap);
    Object.defineProperty(Array.prototype, name, trap);
  }
  let got = "";
  try {
    let controller;
    const stream = new ReadableStream({
      start(c) {
        controller = c;
        c.enqueue("a");
        c.enqueue("b");
      },
    });
    const [one, two] = stream.tee();
    const sink = new WritableStream({ write: (chunk) => void (got += chunk) }, { highWaterMark: 3 });
    const piped = one.pipeThrough(new TransformStream()).pipeTo(sink);
    const iterator = two.values();
    const read = (await iterator.next()).value + (await iterator.next()).value;
    controller.close();
    await piped;
    got += read;
    let source;
    const bytes = new ReadableStream({ type: "bytes", start: (c) => void (source = c) });
    const reader = bytes.getReader({ mode: "byob" });
    const first = reader.read(new Uint8Array(3));
    const last = reader.read(new Uint8Array(3));
    source.enqueue(new Uint8Array(4));
    const sizes = `${(await first).value.length}${(await last).value.length}`;
    got += sizes;
  } finally {
    for (const name of names) {
      delete Object.prototype[name];
      delete Array.prototype[name];
    }
  }
  assert_equals(seen, "");
  assert_equals(got, "abab31");
}, "setters of Object.prototype and Array.prototype see nothing of a stream");

promise_test(async () => {
  const count = 20_000;
  const stream = new ReadableStream({
    start(c) {
      for (let i = 0; i < count; i++) c.enqueue(i);
      c.close();
    },
  });
  let sum = 0;
  for await (const chunk of stream) sum += chunk;
  assert_equals(sum, (count * (count - 1)) / 2);
}, "a long queue is read in order");

export default run;
