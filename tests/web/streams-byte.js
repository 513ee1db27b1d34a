// Streams, 4.7 and 4.8: byte streams, BYOB readers and requests, tee of byte streams.
import {
  test, promise_test, run, assert_equals, assert_true, assert_false, assert_array_equals, assert_interface,
  assert_throws_js, promise_rejects_js, promise_rejects_exactly, flush_microtasks,
} from "./harness.js";

const bytes = (source = {}, strategy) => {
  let controller;
  const { start, ...rest } = source;
  const stream = new ReadableStream({
    type: "bytes",
    start(c) {
      controller = c;
      start?.(c);
    },
    ...rest,
  }, strategy);
  return { stream, controller };
};
const byob = (stream) => stream.getReader({ mode: "byob" });
const same = (result, values, done = false) => {
  assert_equals(result.done, done);
  assert_array_equals(result.value, values);
};

test(() => {
  assert_interface("ReadableByteStreamController", ["byobRequest", "desiredSize", "close", "enqueue", "error"]);
  assert_interface("ReadableStreamBYOBReader", ["read", "releaseLock", "cancel"], { length: 1 });
  assert_interface("ReadableStreamBYOBRequest", ["view", "respond", "respondWithNewView"]);
  for (const Class of [ReadableByteStreamController, ReadableStreamBYOBRequest]) {
    assert_throws_js(TypeError, () => new Class());
  }
  assert_equals(ReadableStreamBYOBReader.prototype.read.length, 1);
  assert_equals(ReadableStreamBYOBRequest.prototype.respond.length, 1);
}, "the interfaces are as Web IDL says");

test(() => {
  assert_throws_js(TypeError, () => bytes({ autoAllocateChunkSize: 0 }));
  assert_throws_js(TypeError, () => bytes({ autoAllocateChunkSize: -1 }));
  assert_throws_js(TypeError, () => bytes({ autoAllocateChunkSize: NaN }));
  new ReadableStream({ autoAllocateChunkSize: 0 });
  assert_throws_js(TypeError, () => byob(new ReadableStream()));
  assert_throws_js(TypeError, () => new ReadableStreamBYOBReader({}));
  assert_throws_js(TypeError, () => new ReadableStreamBYOBReader(new ReadableStream()));
  const { stream } = bytes();
  byob(stream);
  assert_throws_js(TypeError, () => byob(stream));
}, "only byte streams have BYOB readers, and one at a time");

promise_test(async () => {
  const { stream, controller } = bytes();
  const reader = byob(stream);
  for (const bad of [undefined, null, {}, new ArrayBuffer(1), new Uint8Array(0)]) {
    await promise_rejects_js(TypeError, reader.read(bad));
  }
  await promise_rejects_js(TypeError, reader.read(new Uint8Array(new ArrayBuffer(8, { maxByteLength: 16 }))));
  await promise_rejects_js(TypeError, reader.read(new Uint8Array(1), { min: 0 }));
  await promise_rejects_js(TypeError, reader.read(new Uint8Array(1), { min: -1 }));
  await promise_rejects_js(RangeError, reader.read(new Uint8Array(1), { min: 2 }));
  await promise_rejects_js(RangeError, reader.read(new Uint16Array(2), { min: 3 }));
  await promise_rejects_js(RangeError, reader.read(new DataView(new ArrayBuffer(3)), { min: 4 }));
  const gone = new Uint8Array(4);
  structuredClone(gone, { transfer: [gone.buffer] });
  await promise_rejects_js(TypeError, reader.read(gone));
  await promise_rejects_js(TypeError, ReadableStreamBYOBReader.prototype.read.call({}, new Uint8Array(1)));
  controller.close();
  reader.releaseLock();
  await promise_rejects_js(TypeError, reader.read(new Uint8Array(1)));
}, "read() checks its arguments");

promise_test(async () => {
  const { stream, controller } = bytes();
  const reader = byob(stream);
  const view = new Uint8Array(4);
  const read = reader.read(view);
  assert_equals(view.byteLength, 0, "the buffer was taken over");
  assert_equals(controller.byobRequest.view.byteLength, 4);
  assert_equals(controller.byobRequest, controller.byobRequest);
  const request = controller.byobRequest;
  request.view.set([1, 2]);
  const { view: given } = request;
  request.respond(2);
  assert_equals(given.byteLength, 0, "and from the source again");
  assert_equals(request.view, null);
  assert_equals(controller.byobRequest, null);
  assert_throws_js(TypeError, () => request.respond(1));
  const result = await read;
  same(result, [1, 2]);
  assert_equals(result.value.buffer.byteLength, 4);
}, "a BYOB request is filled in place");

promise_test(async () => {
  const { stream, controller } = bytes();
  const reader = byob(stream);
  const read = reader.read(new Uint8Array(new ArrayBuffer(8), 2, 4));
  const request = controller.byobRequest;
  assert_throws_js(RangeError, () => request.respond(5));
  assert_throws_js(TypeError, () => request.respond(0));
  assert_throws_js(TypeError, () => request.respond(-1));
  assert_throws_js(TypeError, () => request.respond());
  const { buffer } = request.view;
  assert_throws_js(RangeError, () => request.respondWithNewView(new Uint8Array(buffer, 0, 4)));
  assert_throws_js(RangeError, () => request.respondWithNewView(new Uint8Array(buffer, 2, 5)));
  assert_throws_js(RangeError, () => request.respondWithNewView(new Uint8Array(new ArrayBuffer(9), 2, 4)));
  assert_throws_js(TypeError, () => request.respondWithNewView(new Uint8Array(buffer, 2, 0)));
  assert_throws_js(TypeError, () => request.respondWithNewView({}));
  const moved = structuredClone(buffer, { transfer: [buffer] });
  assert_throws_js(TypeError, () => request.respond(1));
  const view = new Uint8Array(moved, 2, 3);
  view.set([7, 8, 9]);
  request.respondWithNewView(view);
  const result = await read;
  same(result, [7, 8, 9]);
  assert_equals(result.value.byteOffset, 2);
}, "respond() and respondWithNewView() check what they get");

promise_test(async () => {
  const { stream, controller } = bytes();
  const reader = byob(stream);
  const read = reader.read(new Uint8Array(8), { min: 5 });
  controller.enqueue(new Uint8Array([1, 2]));
  controller.byobRequest.view[0] = 3;
  controller.byobRequest.respond(1);
  let done = false;
  read.then(() => (done = true));
  await flush_microtasks();
  assert_false(done);
  controller.enqueue(new Uint8Array([4, 5, 6, 7, 8, 9, 10]));
  same(await read, [1, 2, 3, 4, 5, 6, 7, 8]);
  same(await reader.read(new Uint8Array(8)), [9, 10]);
}, "read() with min waits until it has that many elements");

promise_test(async () => {
  const { stream, controller } = bytes();
  const reader = byob(stream);
  const wide = reader.read(new Uint16Array(2));
  controller.enqueue(new Uint8Array([1, 0, 2]));
  const result = await wide;
  assert_true(result.value instanceof Uint16Array);
  assert_array_equals(result.value, [1]);
  const rest = reader.read(new Uint32Array(1));
  controller.enqueue(new Uint8Array([0, 0]));
  controller.enqueue(new Uint8Array([0, 9]));
  assert_array_equals((await rest).value, [2]);
  const view = await reader.read(new DataView(new ArrayBuffer(4)));
  assert_true(view.value instanceof DataView);
  assert_equals(view.value.byteLength, 1);
  const odd = reader.read(new Uint16Array(1));
  controller.enqueue(new Uint8Array(1));
  assert_throws_js(TypeError, () => controller.close());
  await promise_rejects_js(TypeError, odd);
}, "elements of several bytes come whole, or the stream is errored");

promise_test(async () => {
  const { stream, controller } = bytes();
  const reader = byob(stream);
  const read = reader.read(new Uint8Array(3));
  const second = reader.read(new Uint8Array(2));
  controller.close();
  controller.byobRequest.respond(0);
  const result = await read;
  same(result, [], true);
  assert_equals(result.value.buffer.byteLength, 3, "the reader gets its buffer back");
  same(await second, [], true);
  same(await reader.read(new Uint8Array(5)), [], true);
  await reader.closed;
}, "the end gives the views back");

promise_test(async () => {
  const { stream } = bytes();
  const reader = byob(stream);
  const read = reader.read(new Uint8Array(3));
  await reader.cancel();
  assert_equals((await read).value, undefined);
  assert_true((await read).done);
}, "cancel() keeps the views");

promise_test(async () => {
  const { stream, controller } = bytes();
  const first = byob(stream);
  const read = first.read(new Uint8Array(4));
  first.releaseLock();
  await promise_rejects_js(TypeError, read);
  controller.byobRequest.view.set([1, 2]);
  controller.byobRequest.respond(2);
  same(await stream.getReader().read(), [1, 2]);
}, "what a released reader's view got is not lost");

promise_test(async () => {
  const { stream, controller } = bytes({ autoAllocateChunkSize: 16 });
  const reader = stream.getReader();
  const read = reader.read();
  assert_equals(controller.byobRequest.view.byteLength, 16);
  controller.byobRequest.view[0] = 5;
  controller.byobRequest.respond(1);
  same(await read, [5]);
  const next = reader.read();
  controller.enqueue(new Uint8Array([6]));
  same(await next, [6]);
  assert_equals(controller.byobRequest, null);
}, "autoAllocateChunkSize makes requests for default readers");

promise_test(async () => {
  let pulls = 0;
  const { stream } = bytes({
    pull(c) {
      pulls++;
      c.byobRequest.view.fill(pulls);
      c.byobRequest.respond(c.byobRequest.view.byteLength);
    },
  });
  const reader = byob(stream);
  same(await reader.read(new Uint8Array(2)), [1, 1]);
  same(await reader.read(new Uint8Array(3)), [2, 2, 2]);
  assert_equals(pulls, 2);
}, "pull is called for a view");

promise_test(async () => {
  const error = new Error("x");
  const { stream, controller } = bytes();
  const reader = byob(stream);
  const read = reader.read(new Uint8Array(2));
  const request = controller.byobRequest;
  controller.error(error);
  assert_equals(request.view, null);
  await promise_rejects_exactly(error, read);
  await promise_rejects_exactly(error, reader.closed);
  await promise_rejects_exactly(error, reader.read(new Uint8Array(2)));
}, "error() rejects the reads");

promise_test(async () => {
  const { stream, controller } = bytes();
  const [a, b] = stream.tee();
  const one = byob(a);
  const two = b.getReader();
  const read = one.read(new Uint8Array(4));
  const other = two.read();
  await flush_microtasks();
  assert_equals(controller.byobRequest.view.byteLength, 4);
  controller.byobRequest.view.set([1, 2, 3]);
  controller.byobRequest.respond(3);
  const [x, y] = [await read, await other];
  same(x, [1, 2, 3]);
  same(y, [1, 2, 3]);
  assert_false(x.value.buffer === y.value.buffer);
  controller.enqueue(new Uint8Array([4]));
  controller.close();
  same(await one.read(new Uint8Array(4)), [4]);
  same(await one.read(new Uint8Array(4)), [], true);
  same(await two.read(), [4]);
  assert_true((await two.read()).done);
}, "tee() of a byte stream hands BYOB reads on, and copies for the other branch");

promise_test(async () => {
  const count = 300;
  let sent = 0;
  const { stream } = bytes({
    pull(c) {
      sent++;
      if (sent > count) {
        c.close();
        c.byobRequest?.respond(0);
      } else {
        c.enqueue(new Uint8Array(1 + (sent % 7)).fill(sent % 251));
      }
    },
  });
  const [a, b] = stream.tee();
  const whole = async (read) => {
    const all = [];
    for (;;) {
      const { done, value } = await read();
      if (done) return all;
      all.push(...value);
    }
  };
  const fast = a.getReader();
  const first = await whole(() => fast.read());
  const slow = byob(b);
  const second = await whole(() => slow.read(new Uint8Array(5)));
  assert_equals(first.length, second.length);
  assert_array_equals(second, first);
}, "a branch that is read late loses nothing");

promise_test(async () => {
  const request = new Request("http://x/", { method: "POST", body: "hello world" });
  const reader = byob(request.body);
  const text = new TextDecoder();
  assert_equals(text.decode((await reader.read(new Uint8Array(5))).value), "hello");
  assert_equals(text.decode((await reader.read(new Uint8Array(50), { min: 6 })).value), " world");
  assert_true((await reader.read(new Uint8Array(1))).done);
}, "a body's stream is a byte stream");

promise_test(async () => {
  for (const body of ["", new Blob([]), new Blob(["abc"])]) {
    const reader = byob(new Response(body).body);
    let result = await reader.read(new Uint8Array(3));
    if (!result.done) result = await reader.read(new Uint8Array(3));
    same(result, [], true);
    assert_equals(result.value.buffer.byteLength, 3, "the buffer comes back");
  }
}, "the end of a body reaches a reader that waits with a view");

promise_test(async () => {
  const { prototype } = Object;
  const seen = [];
  const names = ["chunk", "stream", "queue", "pending", "requests", "promise", "resolve", "buffer", "closed", "reader"];
  const { stream, controller } = bytes();
  const reader = byob(stream);
  const read = reader.read(new Uint8Array(1));
  const constructor = Object.getOwnPropertyDescriptor(Uint8Array.prototype, "constructor");
  const trap = (name) => ({ set: () => seen.push(name), get: () => seen.push(name), configurable: true });
  Object.defineProperty(Uint8Array.prototype, "constructor", trap("constructor"));
  for (const name of names) Object.defineProperty(prototype, name, trap(name));
  try {
    controller.enqueue(new Uint8Array(2));
    await read;
    await reader.read(new Uint8Array(1));
    reader.releaseLock();
    const [a, b] = stream.tee();
    const both = [byob(a).read(new Uint8Array(2)), b.getReader().read()];
    await flush_microtasks();
    controller.enqueue(new Uint8Array(2));
    await Promise.all(both);
    new WritableStream().getWriter().write(1);
    const { readable, writable } = new TransformStream();
    await new ReadableStream({ start: (c) => c.close() }).pipeTo(writable);
    await readable.getReader().read();
  } finally {
    Object.defineProperty(Uint8Array.prototype, "constructor", constructor);
    for (const name of names) delete prototype[name];
  }
  assert_array_equals(seen, []);
}, "patched prototypes are not consulted");

export default run;
