// Streams, 8.2: transferable streams.
import {
  test, promise_test, run, assert_equals, assert_true, assert_array_equals, assert_throws_dom, promise_rejects_dom,
  promise_rejects_exactly, flush_microtasks, delay,
} from "./harness.js";

const move = (stream) => structuredClone(stream, { transfer: [stream] });

promise_test(async () => {
  const original = new ReadableStream({
    start(c) {
      c.enqueue({ a: [1] });
      c.enqueue("b");
      c.close();
    },
  });
  const moved = move(original);
  assert_true(original.locked);
  assert_true(moved instanceof ReadableStream);
  const reader = moved.getReader();
  assert_equals((await reader.read()).value.a[0], 1);
  assert_equals((await reader.read()).value, "b");
  assert_true((await reader.read()).done);
}, "a ReadableStream's chunks arrive as clones");

test(() => {
  const readable = new ReadableStream();
  readable.getReader();
  const writable = new WritableStream();
  writable.getWriter();
  const transform = new TransformStream();
  transform.writable.getWriter();
  for (const locked of [readable, writable, transform]) assert_throws_dom("DataCloneError", () => move(locked));
  assert_throws_dom("DataCloneError", () => structuredClone(new ReadableStream()));
  const whole = new TransformStream();
  assert_throws_dom("DataCloneError", () => structuredClone(null, { transfer: [whole, whole.readable] }));
}, "a locked stream cannot be transferred, and no stream can be cloned");

promise_test(async () => {
  let canceled;
  const original = new ReadableStream({ cancel: (reason) => (canceled = reason) });
  const moved = move(original);
  await moved.cancel("why");
  await delay(1);
  assert_equals(canceled, "why");
  const failing = new ReadableStream({ start: (c) => c.error("foo") });
  await promise_rejects_exactly("foo", move(failing).getReader().read());
}, "a cancellation goes back, and an error forward");

promise_test(async () => {
  let controller;
  const reader = move(new ReadableStream({ start: (c) => (controller = c) })).getReader();
  let cloned = false;
  controller.enqueue({ get x() { cloned = true; return 1; } });
  await flush_microtasks();
  assert_equals(cloned, false);
  assert_equals((await reader.read()).value.x, 1);
  controller.enqueue(() => {});
  await promise_rejects_dom("DataCloneError", reader.read());
}, "chunks are cloned when they are read; one that cannot be is an error");

promise_test(async () => {
  const events = [];
  const original = new WritableStream({
    write: (chunk) => void events.push(chunk),
    close: () => void events.push("close"),
  });
  const writer = move(original).getWriter();
  assert_true(original.locked);
  assert_equals(writer.desiredSize, 1);
  await writer.write("a");
  await writer.close();
  await delay(1);
  assert_array_equals(events, ["a", "close"]);
  let reason;
  const other = move(new WritableStream({ abort: (r) => (reason = r) })).getWriter();
  await other.abort("stop");
  await delay(1);
  assert_equals(reason, "stop");
}, "a WritableStream's chunks go to the original");

promise_test(async () => {
  const upper = new TransformStream({ transform: (chunk, c) => c.enqueue(chunk.toUpperCase()) });
  const moved = move(upper);
  assert_true(moved instanceof TransformStream);
  assert_true(upper.readable.locked && upper.writable.locked);
  const writer = moved.writable.getWriter();
  writer.write("x");
  writer.close();
  const got = [];
  for await (const chunk of moved.readable) got.push(chunk);
  assert_array_equals(got, ["X"]);
}, "a TransformStream is transferred with both sides");

export default run;
