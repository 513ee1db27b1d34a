// Streams, 4.9: pipeTo and pipeThrough.
import {
  promise_test, run, assert_equals, assert_true, assert_false, assert_array_equals, assert_throws_js,
  promise_rejects_js, promise_rejects_exactly, promise_rejects_dom, delay, flush_microtasks,
} from "./harness.js";

const of = (...chunks) =>
  new ReadableStream({
    start(c) {
      for (const chunk of chunks) c.enqueue(chunk);
      c.close();
    },
  });
const sink = (methods = {}, strategy) => {
  const events = [];
  const stream = new WritableStream({
    write(chunk, c) {
      events.push(chunk);
      return methods.write?.(chunk, c);
    },
    close() {
      events.push("close");
      return methods.close?.();
    },
    abort(reason) {
      events.push("abort", reason);
      return methods.abort?.(reason);
    },
  }, strategy);
  return { stream, events };
};

promise_test(async () => {
  const { stream, events } = sink();
  const source = of(1, 2, 3);
  const piped = source.pipeTo(stream);
  assert_true(source.locked);
  assert_true(stream.locked);
  assert_equals(await piped, undefined);
  assert_false(source.locked);
  assert_false(stream.locked);
  assert_array_equals(events, [1, 2, 3, "close"]);
}, "all chunks are written, then the end");

promise_test(async () => {
  const { prototype } = ReadableStream;
  await promise_rejects_js(TypeError, prototype.pipeTo.call({}, new WritableStream()));
  await promise_rejects_js(TypeError, of(1).pipeTo());
  await promise_rejects_js(TypeError, of(1).pipeTo({}));
  await promise_rejects_js(TypeError, of(1).pipeTo(new WritableStream(), { signal: null }));
  const source = of(1);
  source.getReader();
  const { stream } = sink();
  await promise_rejects_js(TypeError, source.pipeTo(stream));
  assert_false(stream.locked);
  stream.getWriter();
  const free = of(1);
  await promise_rejects_js(TypeError, free.pipeTo(stream));
  assert_false(free.locked);
  assert_throws_js(TypeError, () => free.pipeThrough());
  assert_throws_js(TypeError, () => free.pipeThrough({ readable: of(), writable: {} }));
  assert_throws_js(TypeError, () => free.pipeThrough({ readable: {}, writable: new WritableStream() }));
  assert_throws_js(TypeError, () => free.pipeThrough({ readable: of(), writable: stream }));
  assert_throws_js(TypeError, () => free.pipeThrough(new TransformStream(), { signal: 1 }));
  const order = [];
  const options = {};
  for (const name of ["signal", "preventClose", "preventCancel", "preventAbort"]) {
    Object.defineProperty(options, name, { get: () => void order.push(name) });
  }
  free.pipeThrough(new TransformStream(), options);
  assert_array_equals(order, ["preventAbort", "preventCancel", "preventClose", "signal"]);
}, "the arguments are checked");

promise_test(async () => {
  const error = new Error("source");
  const failing = () => new ReadableStream({ start: (c) => c.error(error) });
  const one = sink();
  await promise_rejects_exactly(error, failing().pipeTo(one.stream));
  assert_array_equals(one.events, ["abort", error]);
  const two = sink();
  await promise_rejects_exactly(error, failing().pipeTo(two.stream, { preventAbort: true }));
  assert_array_equals(two.events, []);
  await two.stream.getWriter().write("still open");
}, "an error goes forward unless preventAbort is set");

promise_test(async () => {
  const error = new Error("sink");
  let canceled;
  const source = () => new ReadableStream({ start: (c) => c.enqueue(1), cancel: (reason) => (canceled = reason) });
  const one = source();
  await promise_rejects_exactly(error, one.pipeTo(sink({ write() { throw error; } }).stream));
  assert_equals(canceled, error);
  canceled = undefined;
  const two = source();
  await promise_rejects_exactly(error, two.pipeTo(sink({ write() { throw error; } }).stream, { preventCancel: true }));
  assert_equals(canceled, undefined);
  const closed = new WritableStream();
  await closed.close();
  await promise_rejects_js(TypeError, source().pipeTo(closed));
  assert_true(canceled instanceof TypeError);
}, "an error or an early end goes back unless preventCancel is set");

promise_test(async () => {
  const { stream, events } = sink();
  await of(1).pipeTo(stream, { preventClose: true });
  await of(2).pipeTo(stream);
  assert_array_equals(events, [1, 2, "close"]);
}, "preventClose leaves the sink open");

promise_test(async () => {
  const writing = Promise.withResolvers();
  const { stream, events } = sink({ write: () => writing.promise }, { highWaterMark: 10 });
  const controller = new AbortController();
  let canceled;
  const source = new ReadableStream({
    start(c) {
      c.enqueue("a");
      c.enqueue("b");
    },
    cancel: (reason) => (canceled = reason),
  });
  const piped = source.pipeTo(stream, { signal: controller.signal });
  await delay(1);
  controller.abort();
  await flush_microtasks();
  assert_array_equals(events, ["a"]);
  writing.resolve();
  await promise_rejects_dom("AbortError", piped);
  assert_array_equals(events.slice(0, 3), ["a", "b", "abort"]);
  assert_equals(canceled, controller.signal.reason);
  const other = sink();
  const reason = { mine: true };
  await promise_rejects_exactly(reason, of(1).pipeTo(other.stream, { signal: AbortSignal.abort(reason) }));
  assert_array_equals(other.events, ["abort", reason]);
}, "an abort lets what was read be written first");

promise_test(async () => {
  let controller;
  let written = false;
  new ReadableStream({ start: (c) => (controller = c) }, { highWaterMark: 0 }).pipeTo(
    new WritableStream({ write: () => void (written = true) }),
  );
  await flush_microtasks();
  controller.enqueue("x");
  assert_false(written);
  await flush_microtasks();
  assert_true(written);
}, "a sink does not run within the source's enqueue()");

promise_test(async () => {
  let pulls = 0;
  const done = [];
  const source = new ReadableStream({
    pull(c) {
      pulls++;
      c.enqueue(pulls);
    },
  }, { highWaterMark: 0 });
  const { stream, events } = sink({ write: () => new Promise((resolve) => done.push(resolve)) });
  source.pipeTo(stream);
  await delay(1);
  assert_array_equals(events, [1]);
  assert_equals(pulls, 1, "nothing is read while the sink is full");
  done[0]();
  await delay(1);
  assert_array_equals(events, [1, 2]);
}, "backpressure stops the source");

promise_test(async () => {
  let controller;
  const { stream, events } = sink();
  const source = new ReadableStream({ start: (c) => (controller = c) });
  const piped = source.pipeTo(stream);
  await flush_microtasks();
  controller.enqueue("last");
  controller.close();
  await piped;
  assert_array_equals(events, ["last", "close"]);
}, "a chunk that comes right before the end is not lost");

promise_test(async () => {
  const seen = [];
  Object.defineProperty(Object.prototype, "then", { get: () => void seen.push("then"), configurable: true });
  const { then } = Promise.prototype;
  Promise.prototype.then = function (...args) {
    seen.push("Promise.prototype.then");
    return then.apply(this, args);
  };
  const { stream, events } = sink();
  try {
    const piped = of("a", "b").pipeTo(stream);
    Promise.prototype.then = then;
    await piped;
  } finally {
    Promise.prototype.then = then;
    delete Object.prototype.then;
  }
  assert_array_equals(seen, []);
  assert_array_equals(events, ["a", "b", "close"]);
}, "a pipe cannot be observed through then");

promise_test(async () => {
  const upper = new TransformStream({ transform: (chunk, c) => c.enqueue(chunk.toUpperCase()) });
  const twice = new TransformStream({
    transform(chunk, c) {
      c.enqueue(chunk);
      c.enqueue(chunk);
    },
  });
  const got = [];
  for await (const chunk of of("a", "b").pipeThrough(upper).pipeThrough(twice)) got.push(chunk);
  assert_array_equals(got, ["A", "A", "B", "B"]);
  const pair = { readable: of("r"), writable: new WritableStream() };
  assert_equals(of(1).pipeThrough(pair), pair.readable);
}, "pipeThrough() gives the readable side");

promise_test(async () => {
  const text = await new Response(new Request("http://x/", { method: "POST", body: "body" }).body
    .pipeThrough(new TransformStream())).text();
  assert_equals(text, "body");
}, "a body goes through a transform");

export default run;
