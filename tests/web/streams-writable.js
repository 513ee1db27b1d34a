// Streams, 5 Writable streams.
import {
  test, promise_test, run, assert_equals, assert_true, assert_false, assert_array_equals, assert_interface,
  assert_throws_js, assert_throws_exactly, promise_rejects_js, promise_rejects_exactly, flush_microtasks,
} from "./harness.js";

const deferred = () => Promise.withResolvers();
const writable = (sink = {}, strategy) => {
  let controller;
  const stream = new WritableStream({ ...sink, start: (c) => ((controller = c), sink.start?.(c)) }, strategy);
  return { stream, controller, writer: stream.getWriter() };
};

test(() => {
  assert_interface("WritableStream", ["locked", "getWriter"]);
  assert_interface("WritableStreamDefaultWriter", ["desiredSize", "releaseLock"], { length: 1 });
  assert_interface("WritableStreamDefaultController", ["signal", "error"]);
  assert_throws_js(TypeError, () => new WritableStreamDefaultController());
}, "the interfaces are as Web IDL says");

test(() => {
  new WritableStream();
  new WritableStream(undefined, undefined);
  for (const bad of [null, 1, "x"]) assert_throws_js(TypeError, () => new WritableStream(bad));
  for (const name of ["start", "write", "close", "abort"]) {
    assert_throws_js(TypeError, () => new WritableStream({ [name]: 1 }), name);
  }
  assert_throws_js(RangeError, () => new WritableStream({ type: "bytes" }));
  assert_throws_js(RangeError, () => new WritableStream({ type: null }));
  assert_throws_js(RangeError, () => new WritableStream({}, { highWaterMark: -1 }));
  assert_throws_js(TypeError, () => new WritableStream({}, { size: 1 }));
  assert_throws_js(TypeError, () => new WritableStreamDefaultWriter({}));
  const error = new Error("start");
  assert_throws_exactly(error, () => new WritableStream({ start() { throw error; } }));
}, "the constructor checks its arguments, in order");

promise_test(async () => {
  const events = [];
  const { stream, writer, controller } = writable({
    write(chunk, c) {
      events.push(chunk);
      assert_equals(c, controller);
    },
    close(...args) {
      events.push("close", args.length);
    },
  });
  assert_true(stream.locked);
  assert_equals(writer.desiredSize, 1);
  const writes = [writer.write("a"), writer.write("b")];
  assert_equals(writer.desiredSize, -1);
  const closed = writer.close();
  assert_equals(await writes[0], undefined);
  await writes[1];
  await closed;
  await writer.closed;
  assert_array_equals(events, ["a", "b", "close", 0]);
  assert_equals(writer.desiredSize, 0);
  await promise_rejects_js(TypeError, writer.write("c"));
  await promise_rejects_js(TypeError, writer.close());
}, "chunks are written in order, then the end");

promise_test(async () => {
  const done = [];
  const { writer } = writable({ write: () => new Promise((resolve) => done.push(resolve)) });
  const { ready } = writer;
  await ready;
  writer.write(1);
  assert_false(writer.ready === ready, "there is a new promise");
  const next = writer.ready;
  let isReady = false;
  next.then(() => (isReady = true));
  writer.write(2);
  await flush_microtasks();
  assert_equals(done.length, 1, "one write at a time");
  assert_false(isReady);
  done[0]();
  await flush_microtasks();
  assert_false(isReady);
  done[1]();
  await next;
  assert_equals(writer.ready, next);
}, "ready waits for room");

promise_test(async () => {
  const error = new Error("write");
  const { stream, writer } = writable({ write: () => Promise.reject(error) });
  const write = writer.write(1);
  const second = writer.write(2);
  const close = writer.close();
  await promise_rejects_exactly(error, write);
  await promise_rejects_exactly(error, second);
  await promise_rejects_exactly(error, close);
  await promise_rejects_exactly(error, writer.closed);
  await promise_rejects_exactly(error, writer.ready);
  assert_equals(writer.desiredSize, null);
  await promise_rejects_exactly(error, writer.write(3));
  writer.releaseLock();
  await promise_rejects_exactly(error, stream.getWriter().closed);
}, "a failed write errors the stream");

promise_test(async () => {
  const writing = deferred();
  let aborted;
  const { writer, controller } = writable({ write: () => writing.promise, abort: (reason) => (aborted = reason) });
  const { signal } = controller;
  assert_true(signal instanceof AbortSignal);
  assert_equals(controller.signal, signal);
  await writer.ready;
  const write = writer.write(1);
  const queued = writer.write(2);
  await flush_microtasks();
  const reason = new Error("why");
  const abort = writer.abort(reason);
  assert_true(signal.aborted);
  assert_equals(signal.reason, reason);
  assert_equals(writer.desiredSize, null);
  assert_equals(aborted, undefined, "the write in flight comes first");
  await promise_rejects_exactly(reason, writer.ready);
  writing.resolve();
  await write;
  await abort;
  assert_equals(aborted, reason);
  await promise_rejects_exactly(reason, queued);
  await promise_rejects_exactly(reason, writer.closed);
}, "abort() signals at once and reaches the sink after the write in flight");

promise_test(async () => {
  const { stream, controller, writer } = writable();
  writer.releaseLock();
  await stream.abort();
  assert_true(controller.signal.aborted);
  assert_equals(controller.signal.reason.name, "AbortError");
  assert_equals(await stream.abort(), undefined);
  const error = new Error("abort");
  await promise_rejects_exactly(error, new WritableStream({ abort() { throw error; } }).abort());
}, "a signal that nobody saw before the abort is aborted, too");

promise_test(async () => {
  const { controller, writer } = writable({ write: () => new Promise(() => {}) });
  const error = new Error("mine");
  controller.error(error);
  controller.error(new Error("again"));
  await promise_rejects_exactly(error, writer.closed);
  await promise_rejects_exactly(error, writer.write(1));
  await promise_rejects_js(TypeError, writer.close());
}, "controller.error() errors the stream");

promise_test(async () => {
  const { stream, writer } = writable();
  const { closed, ready } = writer;
  writer.releaseLock();
  writer.releaseLock();
  await promise_rejects_js(TypeError, closed);
  await ready;
  await promise_rejects_js(TypeError, writer.ready);
  await promise_rejects_js(TypeError, writer.write(1));
  await promise_rejects_js(TypeError, writer.close());
  await promise_rejects_js(TypeError, writer.abort());
  assert_throws_js(TypeError, () => writer.desiredSize);
  assert_false(stream.locked);
  stream.getWriter();
  assert_throws_js(TypeError, () => stream.getWriter());
  await promise_rejects_js(TypeError, stream.close());
  await promise_rejects_js(TypeError, stream.abort());
  await promise_rejects_js(TypeError, WritableStream.prototype.close.call({}));
  await promise_rejects_js(TypeError, WritableStreamDefaultWriter.prototype.write.call({}));
}, "a released writer writes no more");

promise_test(async () => {
  const { writer } = writable({}, { highWaterMark: 5, size: (chunk) => chunk.length });
  writer.write("abc");
  assert_equals(writer.desiredSize, 2);
  const error = new Error("size");
  const bad = writable({}, { size() { throw error; } });
  await promise_rejects_exactly(error, bad.writer.write(1));
  const odd = writable({}, { size: () => -1 });
  await promise_rejects_js(RangeError, odd.writer.write(1));
}, "the strategy's size counts");

promise_test(async () => {
  const starting = deferred();
  const events = [];
  const { writer } = writable({ start: () => starting.promise, write: () => events.push("write") });
  writer.write(1);
  await flush_microtasks();
  assert_array_equals(events, []);
  starting.resolve();
  await flush_microtasks();
  assert_array_equals(events, ["write"]);
  const error = new Error("start");
  const failing = writable({ start: () => Promise.reject(error) });
  await promise_rejects_exactly(error, failing.writer.closed);
}, "nothing is written before start() is over");

promise_test(async () => {
  let writes = 0;
  const { writer } = writable({ write: () => void writes++ }, { highWaterMark: 10 });
  for (let i = 0; i < 5000; i++) {
    await writer.ready;
    writer.write(i);
  }
  await writer.close();
  assert_equals(writes, 5000);
}, "a long row of writes goes through");

export default run;
