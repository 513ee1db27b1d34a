// The workings of readable streams. https://streams.spec.whatwg.org/#rs
//
// A public object (readable_stream.js) holds one private field, its record; the standard's abstract operations are
// functions over the records. Reads go through read requests (`chunk`, `close`, `error`) so that internal readers
// (bodies, pipes) need no promise a chunk, and an internal source may answer at any time without one:
//
//   stream      { state, error, disturbed, reader, controller, object }
//   reader      { stream, requests, closed (a capability, made when somebody looks), byob }
//   controller  a Controller, or a ByteController (byte_controller.js)
(function (nexus) {
  "use strict";
  const { apply, setPrototypeOf, Promise, then, resolved, rejected } = nexus.builtins;
  const NOTHING = () => {};
  // For reactions in a microtask. No guest ever sees it.
  const RESOLVED = resolved(undefined);
  const handled = (promise) => {
    then(promise, undefined, NOTHING);
    return promise;
  };
  /** A new promise resolved with a value. */
  const promiseOf = (value) => new Promise((resolve) => resolve(value));
  /** Calls an algorithm; a promise in any case, and not one for guests. */
  const promiseCall = (algorithm, first, second) => {
    try {
      const result = algorithm(first, second);
      return result === undefined ? RESOLVED : resolved(result);
    } catch (error) {
      return rejected(error);
    }
  };
  /** What a guest's method has returned, as Web IDL makes a promise of it; undefined stands for a resolved one. */
  const promised = (result) => (result === undefined ? undefined : promiseOf(result));
  /** A guest's method as an algorithm of one argument. */
  const algorithmOf = (method, self) =>
    method === undefined ? NOTHING : (argument) => promised(apply(method, self, [argument]));

  /** For classes of records: what guests put into Object.prototype is not found there. */
  const internal = (Class) => setPrototypeOf(Class.prototype, null);

  /** A promise with its functions; V8 makes one in half of the time of `Promise.withResolvers`. */
  class Capability {
    constructor() {
      this.promise = new Promise((resolve, reject) => {
        this.resolve = resolve;
        this.reject = reject;
      });
    }
  }
  internal(Capability);
  const capability = () => new Capability();

  /** An array that has no setters of the guest's, at no index. */
  class List extends Array {
    constructor() {
      super();
    }
  }
  internal(List);

  /** A first-in first-out list whose shift takes constant time. */
  class Fifo {
    items = new List();
    head = 0;
    get length() {
      return this.items.length - this.head;
    }
    get first() {
      return this.items[this.head];
    }
    set first(item) {
      this.items[this.head] = item;
    }
    push(item) {
      this.items[this.items.length] = item;
    }
    shift() {
      const { items } = this;
      const item = items[this.head];
      items[this.head++] = undefined;
      if (this.head === items.length) {
        items.length = this.head = 0;
      } else if (this.head > 1023 && this.head * 2 > items.length) {
        const rest = new List();
        for (let i = this.head; i < items.length; i++) rest[rest.length] = items[i];
        this.items = rest;
        this.head = 0;
      }
      return item;
    }
  }

  internal(Fifo);

  // --- streams ---

  const newStream = (object) => ({
    state: "readable", error: undefined, disturbed: false, reader: null, controller: null, object,
  });

  const closeStream = (stream) => {
    stream.state = "closed";
    const { reader } = stream;
    if (reader === null) return;
    reader.closed?.resolve();
    if (reader.byob) return;
    const { requests } = reader;
    reader.requests = new Fifo();
    while (requests.length > 0) requests.shift().close();
  };

  const errorRequests = (reader, error) => {
    const { requests } = reader;
    if (requests.length === 0) return;
    reader.requests = new Fifo();
    while (requests.length > 0) requests.shift().error(error);
  };

  const errorStream = (stream, error) => {
    stream.state = "errored";
    stream.error = error;
    const { reader } = stream;
    if (reader === null) return;
    reader.closed?.reject(error);
    errorRequests(reader, error);
  };

  const cancelStream = (stream, reason) => {
    stream.disturbed = true;
    if (stream.state === "closed") return resolved(undefined);
    if (stream.state === "errored") return rejected(stream.error);
    closeStream(stream);
    const { reader } = stream;
    if (reader !== null && reader.byob) {
      const { requests } = reader;
      reader.requests = new Fifo();
      while (requests.length > 0) requests.shift().close(undefined);
    }
    return then(stream.controller.cancelSteps(reason), NOTHING);
  };

  // --- readers ---

  const acquireReader = (stream, byob = false) => {
    if (stream.reader !== null) throw new TypeError("The ReadableStream is locked to a reader");
    const reader = { stream, requests: new Fifo(), closed: null, byob };
    stream.reader = reader;
    return reader;
  };

  const closedPromise = (reader) => {
    if (reader.closed === null) {
      const closed = (reader.closed = capability());
      handled(closed.promise);
      if (reader.stream === null) closed.reject(releasedError());
      else if (reader.stream.state === "closed") closed.resolve();
      else if (reader.stream.state === "errored") closed.reject(reader.stream.error);
    }
    return reader.closed.promise;
  };

  const releasedError = () => new TypeError("The reader was released");

  const releaseReader = (reader) => {
    const { stream } = reader;
    if (stream === null) return;
    if (reader.closed !== null) {
      // Pending: rejected; settled: replaced by a rejected one.
      if (stream.state === "readable") reader.closed.reject(releasedError());
      else reader.closed = null;
    }
    stream.controller.releaseSteps();
    stream.reader = null;
    reader.stream = null;
    if (reader.requests.length > 0) errorRequests(reader, releasedError());
  };

  const read = (reader, request) => {
    const { stream } = reader;
    stream.disturbed = true;
    if (stream.state === "readable") stream.controller.pullSteps(request);
    else if (stream.state === "closed") request.close();
    else request.error(stream.error);
  };

  /** A read request that settles a promise; also one of a BYOB reader, whose last view comes with the end. */
  class PromiseRequest extends Capability {
    chunk(value) {
      this.resolve({ value, done: false });
    }
    close(value) {
      this.resolve({ value, done: true });
    }
    error(reason) {
      this.reject(reason);
    }
  }

  const readPromise = (reader) => {
    const { stream } = reader;
    const { controller } = stream;
    if (stream.state === "readable" && !controller.bytes && controller.queue.length > 0) {
      stream.disturbed = true;
      return resolved({ value: take(controller), done: false });
    }
    const request = new PromiseRequest();
    read(reader, request);
    return request.promise;
  };

  // --- controllers ---

  /** What both kinds of controllers' records have. Internal sources answer with `enqueue`, `close` and `error`. */
  class AnyController {
    queue = new Fifo();
    size = 0;
    started = false;
    pulling = false;
    pullAgain = false;
    // For internal sources: whether `pull` is on the stack, and has answered.
    inPull = false;
    answered = false;
    closeRequested = false;
    object = null;
    // The reactions to the source's pull, made with the first one.
    onPulled = null;
    onPullFailed = null;
    constructor(stream, bytes, highWaterMark, pull, cancel, native) {
      this.stream = stream;
      this.bytes = bytes;
      this.highWaterMark = highWaterMark;
      this.pull = pull;
      this.cancel = cancel;
      this.native = native;
      stream.controller = this;
    }
    clear() {
      this.pull = this.cancel = NOTHING;
      this.native = null;
    }
    cancelSteps(reason) {
      this.queue = new Fifo();
      this.size = 0;
      const { cancel } = this;
      const result = promiseCall(cancel, reason);
      this.clear();
      return result;
    }
  }

  internal(AnyController);

  /** The record of a ReadableStreamDefaultController. */
  class Controller extends AnyController {
    constructor(stream, highWaterMark, sizeOf, pull, cancel, native) {
      super(stream, false, highWaterMark, pull, cancel, native);
      this.sizeOf = sizeOf;
      // Without a function of sizes, the queue holds the chunks themselves.
      this.counted = sizeOf === null;
    }
    clear() {
      super.clear();
      this.sizeOf = null;
    }
    pullSteps(request) {
      if (this.queue.length > 0) {
        request.chunk(take(this));
      } else {
        this.stream.reader.requests.push(request);
        callPull(this);
      }
    }
    releaseSteps() {}
    enqueue(chunk) {
      enqueue(this, chunk);
    }
    close() {
      closeController(this);
    }
    error(reason) {
      controllerError(this, reason);
    }
  }

  /** Takes the first chunk out of the queue, with what follows from that. */
  const take = (controller) => {
    let chunk = controller.queue.shift();
    if (controller.counted) {
      controller.size--;
    } else {
      controller.size -= chunk.size;
      if (controller.size < 0) controller.size = 0;
      chunk = chunk.chunk;
    }
    if (controller.closeRequested && controller.queue.length === 0) {
      controller.clear();
      closeStream(controller.stream);
    } else {
      callPull(controller);
    }
    return chunk;
  };

  const desiredSize = (controller) => {
    const { state } = controller.stream;
    return state === "errored" ? null : state === "closed" ? 0 : controller.highWaterMark - controller.size;
  };

  const canCloseOrEnqueue = (controller) => !controller.closeRequested && controller.stream.state === "readable";

  const shouldPull = (controller) => {
    if (!controller.started || !canCloseOrEnqueue(controller)) return false;
    const { reader } = controller.stream;
    return (reader !== null && reader.requests.length > 0) || controller.highWaterMark - controller.size > 0;
  };

  const callPull = (controller) => {
    if (controller.pull === NOTHING && controller.native === null) return;
    if (!shouldPull(controller)) return;
    if (controller.pulling) {
      controller.pullAgain = true;
      return;
    }
    if (controller.native !== null) {
      pullNative(controller);
      return;
    }
    controller.pulling = true;
    then(
      promiseCall(controller.pull, controller.object),
      (controller.onPulled ??= () => {
        controller.pulling = false;
        if (controller.pullAgain) {
          controller.pullAgain = false;
          callPull(controller);
        }
      }),
      failing(controller),
    );
  };
  const failing = (controller) => (controller.onPullFailed ??= (error) => controller.error(error));

  /** An internal source's pull is over when it enqueues, closes or errors, now or later. */
  const pullNative = (controller) => {
    controller.pulling = controller.inPull = true;
    controller.answered = false;
    try {
      const pending = controller.native.pull(controller);
      if (pending !== undefined) then(pending, undefined, failing(controller));
    } catch (error) {
      controller.error(error);
    }
    controller.inPull = false;
    if (!controller.answered) return;
    controller.pulling = false;
    if (controller.pullAgain) {
      controller.pullAgain = false;
      callPull(controller);
    }
  };

  /** An internal source has answered its pull. */
  const noteAnswer = (controller) => {
    if (controller.inPull) controller.answered = true;
    else if (controller.native !== null) controller.pulling = controller.pullAgain = false;
  };

  const enqueue = (controller, chunk) => {
    if (!canCloseOrEnqueue(controller)) return;
    noteAnswer(controller);
    const { reader } = controller.stream;
    if (reader !== null && reader.requests.length > 0) {
      reader.requests.shift().chunk(chunk);
    } else if (controller.counted) {
      controller.queue.push(chunk);
      controller.size++;
    } else {
      let size = 1;
      if (controller.sizeOf !== null) {
        try {
          size = checkedSize(controller.sizeOf, chunk);
        } catch (error) {
          controllerError(controller, error);
          throw error;
        }
      }
      controller.queue.push({ chunk, size });
      controller.size += size;
    }
    callPull(controller);
  };

  /** A chunk's size as a guest's function says; throws if that is no size. */
  const checkedSize = (sizeOf, chunk) => {
    const size = +sizeOf(chunk);
    if (!(size >= 0 && size < Infinity)) {
      throw new RangeError("The size of a chunk must be a finite, non-negative number");
    }
    return size;
  };

  const closeController = (controller) => {
    if (!canCloseOrEnqueue(controller)) return;
    controller.closeRequested = true;
    if (controller.queue.length > 0) return;
    controller.clear();
    closeStream(controller.stream);
  };

  const controllerError = (controller, error) => {
    if (controller.stream.state !== "readable") return;
    controller.queue = new Fifo();
    controller.size = 0;
    controller.clear();
    errorStream(controller.stream, error);
  };

  const start = (controller, result) => {
    then(
      result === undefined ? RESOLVED : promiseOf(result),
      () => {
        controller.started = true;
        callPull(controller);
      },
      (error) => controller.error(error),
    );
  };

  nexus.streams = {
    NOTHING, RESOLVED, Fifo, internal, capability, handled, promiseOf, promiseCall, promised, algorithmOf, newStream,
    closeStream, errorStream, cancelStream, acquireReader, closedPromise, releasedError, releaseReader, read,
    PromiseRequest, readPromise, AnyController, Controller, checkedSize, desiredSize, canCloseOrEnqueue, shouldPull,
    callPull, noteAnswer, enqueue, closeController, controllerError, start, take,
    // readable_stream.js adds what needs its classes.
  };
})
