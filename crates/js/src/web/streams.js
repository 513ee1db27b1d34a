// The workings of readable streams. https://streams.spec.whatwg.org/#rs
//
// A public object (readable_stream.js) holds one private field, its record; the standard's abstract operations are
// functions over the records. Reads go through read requests (`chunk`, `close`, `error`) so that internal readers
// (bodies) need no promise a chunk, and an internal source may answer at any time without one:
//
//   stream      { state, error, disturbed, reader, controller, object }
//   reader      { stream, requests, closed (a capability, made when somebody looks), object }
//   controller  a Controller
(function (nexus) {
  "use strict";
  const { apply, then, resolved, rejected, capability } = nexus.builtins;
  const NOTHING = () => {};
  const handled = (promise) => {
    then(promise, undefined, NOTHING);
    return promise;
  };
  /** Calls a guest's algorithm; a promise in any case. */
  const promiseCall = (method, self, args) => {
    try {
      return resolved(apply(method, self, args));
    } catch (error) {
      return rejected(error);
    }
  };

  /** A first-in first-out list whose shift takes constant time. */
  class Fifo {
    items = [];
    head = 0;
    get length() {
      return this.items.length - this.head;
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
        const rest = [];
        for (let i = this.head; i < items.length; i++) rest[rest.length] = items[i];
        this.items = rest;
        this.head = 0;
      }
      return item;
    }
  }

  // --- streams ---

  const newStream = (object) => ({
    state: "readable", error: undefined, disturbed: false, reader: null, controller: null, object,
  });

  const closeStream = (stream) => {
    stream.state = "closed";
    const { reader } = stream;
    if (reader === null) return;
    reader.closed?.resolve();
    while (reader.requests.length > 0) reader.requests.shift().close();
  };

  const errorStream = (stream, error) => {
    stream.state = "errored";
    stream.error = error;
    const { reader } = stream;
    if (reader === null) return;
    reader.closed?.reject(error);
    while (reader.requests.length > 0) reader.requests.shift().error(error);
  };

  const cancelStream = (stream, reason) => {
    stream.disturbed = true;
    if (stream.state === "closed") return resolved(undefined);
    if (stream.state === "errored") return rejected(stream.error);
    closeStream(stream);
    const { controller } = stream;
    controller.queue = new Fifo();
    controller.size = 0;
    const { cancel } = controller;
    clearAlgorithms(controller);
    return then(promiseCall(cancel, undefined, [reason]), NOTHING);
  };

  // --- readers ---

  const acquireReader = (stream, object) => {
    if (stream.reader !== null) throw new TypeError("The ReadableStream is locked to a reader");
    const reader = { stream, requests: new Fifo(), closed: null, object };
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
    stream.reader = null;
    reader.stream = null;
    if (reader.requests.length > 0) {
      const error = releasedError();
      while (reader.requests.length > 0) reader.requests.shift().error(error);
    }
  };

  const read = (reader, request) => {
    const { stream } = reader;
    stream.disturbed = true;
    if (stream.state === "closed") return request.close();
    if (stream.state === "errored") return request.error(stream.error);
    const { controller } = stream;
    if (controller.queue.length > 0) {
      const chunk = dequeue(controller);
      if (controller.closeRequested && controller.queue.length === 0) {
        clearAlgorithms(controller);
        closeStream(stream);
      } else {
        callPull(controller);
      }
      request.chunk(chunk);
    } else {
      reader.requests.push(request);
      callPull(controller);
    }
  };

  const readPromise = (reader) => {
    const { promise, resolve, reject } = capability();
    read(reader, {
      chunk: (value) => resolve({ value, done: false }),
      close: () => resolve({ value: undefined, done: true }),
      error: reject,
    });
    return promise;
  };

  // --- controllers ---

  /** A controller's record; what an internal source gets to answer with. */
  class Controller {
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
    constructor(stream, bytes, highWaterMark, sizeOf, pull, cancel, native) {
      this.stream = stream;
      this.bytes = bytes;
      this.highWaterMark = highWaterMark;
      this.sizeOf = sizeOf;
      this.pull = pull;
      this.cancel = cancel;
      this.native = native;
      stream.controller = this;
    }
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

  const clearAlgorithms = (controller) => {
    controller.pull = controller.cancel = NOTHING;
    controller.sizeOf = null;
    controller.native = null;
  };

  const dequeue = (controller) => {
    const entry = controller.queue.shift();
    controller.size -= entry.size;
    if (controller.size < 0) controller.size = 0;
    return entry.chunk;
  };

  const desiredSize = (controller) => {
    const { state } = controller.stream;
    return state === "errored" ? null : state === "closed" ? 0 : controller.highWaterMark - controller.size;
  };

  const canCloseOrEnqueue = (controller) => !controller.closeRequested && controller.stream.state === "readable";

  const callPull = (controller) => {
    const { stream } = controller;
    if (!controller.started || !canCloseOrEnqueue(controller)) return;
    const waiting = stream.reader !== null && stream.reader.requests.length > 0;
    if (!waiting && controller.highWaterMark - controller.size <= 0) return;
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
      promiseCall(controller.pull, undefined, [controller.object]),
      () => {
        controller.pulling = false;
        if (controller.pullAgain) {
          controller.pullAgain = false;
          callPull(controller);
        }
      },
      (error) => controllerError(controller, error),
    );
  };

  /** An internal source's pull is over when it enqueues, closes or errors, now or later. */
  const pullNative = (controller) => {
    controller.pulling = controller.inPull = true;
    controller.answered = false;
    try {
      const pending = controller.native.pull(controller);
      if (pending !== undefined) then(pending, undefined, (error) => controllerError(controller, error));
    } catch (error) {
      controllerError(controller, error);
    }
    controller.inPull = false;
    if (!controller.answered) return;
    controller.pulling = false;
    if (controller.pullAgain) {
      controller.pullAgain = false;
      callPull(controller);
    }
  };

  const enqueue = (controller, chunk) => {
    if (!canCloseOrEnqueue(controller)) return;
    const { stream } = controller;
    if (controller.inPull) controller.answered = true;
    else if (controller.native !== null) controller.pulling = controller.pullAgain = false;
    const { reader } = stream;
    if (reader !== null && reader.requests.length > 0) {
      reader.requests.shift().chunk(chunk);
    } else {
      let size = 1;
      if (controller.bytes) {
        size = chunk.byteLength;
      } else if (controller.sizeOf !== null) {
        try {
          size = +(0, controller.sizeOf)(chunk);
          if (!(size >= 0 && size < Infinity)) {
            throw new RangeError("The size of a chunk must be a finite, non-negative number");
          }
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

  const closeController = (controller) => {
    if (!canCloseOrEnqueue(controller)) return;
    controller.closeRequested = true;
    if (controller.queue.length > 0) return;
    clearAlgorithms(controller);
    closeStream(controller.stream);
  };

  const controllerError = (controller, error) => {
    if (controller.stream.state !== "readable") return;
    controller.queue = new Fifo();
    controller.size = 0;
    clearAlgorithms(controller);
    errorStream(controller.stream, error);
  };

  const start = (controller, result) => {
    then(
      resolved(result),
      () => {
        controller.started = true;
        callPull(controller);
      },
      (error) => controllerError(controller, error),
    );
  };

  nexus.streams = {
    NOTHING, promiseCall, newStream, cancelStream, acquireReader, closedPromise, releasedError, releaseReader, read,
    readPromise, Controller, desiredSize, canCloseOrEnqueue, callPull, enqueue, closeController, controllerError, start,
  };
})
