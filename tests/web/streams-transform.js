// Streams, 6 Transform streams.
import {
  test, promise_test, run, assert_equals, assert_true, assert_false, assert_array_equals, assert_interface,
  assert_throws_js, assert_throws_exactly, promise_rejects_js, promise_rejects_exactly, flush_microtasks,
} from "./harness.js";

const transformer = (methods = {}, ...strategies) => {
  let controller;
  const { start, ...rest } = methods;
  const stream = new TransformStream({ start: (c) => ((controller = c), start?.(c)), ...rest }, ...strategies);
  return { stream, controller, writer: stream.writable.getWriter(), reader: stream.readable.getReader() };
};

test(() => {
  assert_interface("TransformStream", ["readable", "writable"]);
  assert_interface("TransformStreamDefaultController", ["desiredSize", "enqueue", "error", "terminate"]);
  assert_throws_js(TypeError, () => new TransformStreamDefaultController());
  for (const bad of [null, 1]) assert_throws_js(TypeError, () => new TransformStream(bad));
  for (const name of ["start", "transform", "flush", "cancel"]) {
    assert_throws_js(TypeError, () => new TransformStream({ [name]: 1 }), name);
  }
  assert_throws_js(RangeError, () => new TransformStream({ readableType: "bytes" }));
  assert_throws_js(RangeError, () => new TransformStream({ writableType: 0 }));
  assert_throws_js(RangeError, () => new TransformStream({}, { highWaterMark: -1 }));
  assert_throws_js(RangeError, () => new TransformStream({}, {}, { highWaterMark: NaN }));
  const error = new Error();
  assert_throws_exactly(error, () => new TransformStream({ start() { throw error; } }));
  const stream = new TransformStream();
  assert_equals(stream.readable, stream.readable);
  assert_true(stream.readable instanceof ReadableStream);
  assert_true(stream.writable instanceof WritableStream);
}, "the interfaces are as Web IDL says, and the constructor checks its arguments");

promise_test(async () => {
  const { reader, writer, controller } = transformer();
  assert_equals(writer.desiredSize, 1);
  assert_equals(controller.desiredSize, 0);
  const write = writer.write("x");
  let written = false;
  write.then(() => (written = true));
  await flush_microtasks();
  assert_false(written, "it waits for a read");
  const { value, done } = await reader.read();
  assert_equals(value, "x");
  assert_false(done);
  await write;
  const closed = writer.close();
  assert_true((await reader.read()).done);
  await closed;
}, "the identity transform passes chunks on as they are asked for");

promise_test(async () => {
  const { reader, writer } = transformer({
    async transform(chunk, c) {
      await null;
      c.enqueue(chunk);
      c.enqueue(chunk * 2);
    },
    flush(c, ...rest) {
      assert_equals(rest.length, 0);
      c.enqueue("end");
    },
  });
  writer.write(1);
  writer.write(2);
  writer.close();
  const got = [];
  for (let r; !(r = await reader.read()).done; ) got.push(r.value);
  assert_array_equals(got, [1, 2, 2, 4, "end"]);
}, "transform() may give any number of chunks, flush() some more");

promise_test(async () => {
  const error = new Error("transform");
  const { reader, writer } = transformer({ transform() { throw error; } });
  const read = reader.read();
  await promise_rejects_exactly(error, writer.write(1));
  await promise_rejects_exactly(error, read);
  await promise_rejects_exactly(error, writer.closed);
  await promise_rejects_exactly(error, reader.closed);
  const late = new Error("flush");
  const other = transformer({ flush: () => Promise.reject(late) });
  await promise_rejects_exactly(late, other.writer.close());
  await promise_rejects_exactly(late, other.reader.read());
}, "an error of the transformer is both sides'");

promise_test(async () => {
  const { reader, writer, controller } = transformer({}, undefined, { highWaterMark: 2 });
  controller.enqueue(1);
  controller.terminate();
  assert_throws_js(TypeError, () => controller.enqueue(2));
  assert_equals((await reader.read()).value, 1);
  assert_true((await reader.read()).done);
  await promise_rejects_js(TypeError, writer.write(1));
  await promise_rejects_js(TypeError, writer.closed);
}, "terminate() ends the one and errors the other side");

promise_test(async () => {
  const error = new Error("mine");
  const { reader, writer, controller } = transformer();
  controller.error(error);
  assert_equals(controller.desiredSize, null);
  await promise_rejects_exactly(error, reader.read());
  await promise_rejects_exactly(error, writer.write(1));
}, "controller.error() errors both sides");

promise_test(async () => {
  const reasons = [];
  const cancel = (reason) => void reasons.push(reason);
  const flush = () => reasons.push("flush");
  const one = transformer({ cancel, flush });
  await one.reader.cancel("c");
  await promise_rejects_exactly("c", one.writer.closed);
  const two = transformer({ cancel, flush });
  await two.writer.abort("a");
  await promise_rejects_exactly("a", two.reader.closed);
  assert_array_equals(reasons, ["c", "a"]);
  const error = new Error("cancel");
  const bad = transformer({ cancel: () => Promise.reject(error) });
  await promise_rejects_exactly(error, bad.reader.cancel());
  await promise_rejects_exactly(error, bad.writer.closed);
}, "cancel() hears of a cancellation and of an abort");

promise_test(async () => {
  const error = new Error("parallel");
  let controller;
  const stream = new TransformStream({
    start: (c) => void (controller = c),
    async cancel() {
      controller.error(error);
    },
  });
  const canceled = stream.readable.cancel("x");
  const closed = stream.writable.close();
  await promise_rejects_exactly(error, canceled);
  await promise_rejects_exactly(error, closed);
}, "an error within cancel() is the result of both ends");

promise_test(async () => {
  const { stream } = { stream: new TransformStream({}, { highWaterMark: 3, size: (c) => c }, { highWaterMark: 9 }) };
  const writer = stream.writable.getWriter();
  assert_equals(writer.desiredSize, 3);
  await writer.write(5);
  await writer.write(5);
  const reader = stream.readable.getReader();
  assert_equals((await reader.read()).value, 5);
}, "each side has its strategy");

promise_test(async () => {
  const chunk = new Uint8Array(65536);
  const count = 400;
  let sent = 0;
  const source = new ReadableStream({
    pull(c) {
      if (sent++ < count) c.enqueue(chunk);
      else c.close();
    },
  });
  let total = 0;
  for await (const piece of source.pipeThrough(new TransformStream())) total += piece.length;
  assert_equals(total, count * chunk.length);
}, "megabytes go through");

export default run;
