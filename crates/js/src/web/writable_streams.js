// The workings of writable streams. https://streams.spec.whatwg.org/#ws
//
// As with readable streams (streams.js), public objects hold records, and the standard's abstract operations are
// functions over them. What a writer's promises say follows from the records, so each is made when somebody looks.
// A write request is anything with `resolve` and `reject`: a promise's, or a pipe.
//
//   stream      { state, error, backpressure, closeRequest, inFlightClose, inFlightWrite, pendingAbort, writer,
//                 requests, controller, object }
//   writer      { stream, ready, closed (capabilities or null), readyPending, closedPending, released (the error),
//                 waiting (a pipe's continuation) }
//   controller  a SinkController
(function (nexus) {
  "use strict";
  const { NOTHING, RESOLVED, Fifo, internal, capability, handled, promiseOf, promiseCall } = nexus.streams;
  const { then, resolved, rejected } = nexus.builtins;

  // The entry of a controller's queue that stands for the stream's end.
  const CLOSE = { __proto__: null };
  // What an abort requests when it is not known yet how it will end: `{ promise, resolve, reject, reason, erroring }`.

  const newStream = (object) => ({
    state: "writable", error: undefined, backpressure: false, closeRequest: null, inFlightClose: null,
    inFlightWrite: null, pendingAbort: null, writer: null, requests: new Fifo(), controller: null, object,
  });

  const isClosing = (stream) => stream.closeRequest !== null || stream.inFlightClose !== null;
  const isInFlight = (stream) => stream.inFlightWrite !== null || stream.inFlightClose !== null;

  // --- streams ---

  const abortStream = (stream, reason) => {
    if (stream.state === "closed" || stream.state === "errored") return resolved(undefined);
    stream.controller.signalAbort(reason);
    // The signal's listeners may have changed it.
    if (stream.state === "closed" || stream.state === "errored") return resolved(undefined);
    if (stream.pendingAbort !== null) return stream.pendingAbort.promise;
    const erroring = stream.state === "erroring";
    const { promise, resolve, reject } = capability();
    stream.pendingAbort = { promise, resolve, reject, reason: erroring ? undefined : reason, erroring };
    if (!erroring) startErroring(stream, reason);
    return promise;
  };

  const closedError = () => new TypeError("The WritableStream is closed, closing or errored");

  const closeStream = (stream) => {
    if (stream.state === "closed" || stream.state === "errored") return rejected(closedError());
    const request = (stream.closeRequest = capability());
    const { writer } = stream;
    if (writer !== null && stream.backpressure && stream.state === "writable") becomeReady(writer);
    const { controller } = stream;
    controller.push(CLOSE, 0);
    advance(controller);
    return request.promise;
  };

  const startErroring = (stream, reason) => {
    stream.state = "erroring";
    stream.error = reason;
    if (stream.writer !== null) rejectReady(stream.writer, reason);
    if (!isInFlight(stream) && stream.controller.started) finishErroring(stream);
  };

  const finishErroring = (stream) => {
    const { controller } = stream;
    stream.state = "errored";
    controller.reset();
    const { error, requests } = stream;
    stream.requests = new Fifo();
    while (requests.length > 0) requests.shift().reject(error);
    const abort = stream.pendingAbort;
    if (abort === null) {
      rejectClosed(stream);
      return;
    }
    stream.pendingAbort = null;
    if (abort.erroring) {
      abort.reject(error);
      rejectClosed(stream);
      return;
    }
    const result = promiseCall(controller.abort, abort.reason);
    controller.clear();
    then(
      result,
      () => {
        abort.resolve();
        rejectClosed(stream);
      },
      (reason) => {
        abort.reject(reason);
        rejectClosed(stream);
      },
    );
  };

  const rejectClosed = (stream) => {
    if (stream.closeRequest !== null) {
      stream.closeRequest.reject(stream.error);
      stream.closeRequest = null;
    }
    const { writer } = stream;
    if (writer === null) return;
    writer.closedPending = false;
    writer.closed?.reject(stream.error);
  };

  /** A write or the close has failed. */
  const fail = (stream, error) => {
    if (stream.state === "writable") startErroring(stream, error);
    else finishErroring(stream);
  };

  const updateBackpressure = (stream, backpressure) => {
    const { writer } = stream;
    if (writer !== null && backpressure !== stream.backpressure) {
      if (backpressure) {
        writer.ready = null;
        writer.readyPending = true;
      } else {
        becomeReady(writer);
      }
    }
    stream.backpressure = backpressure;
  };

  // --- writers ---

  const acquireWriter = (stream) => {
    if (stream.writer !== null) throw new TypeError("The WritableStream is locked to a writer");
    const { state } = stream;
    const writer = {
      stream, ready: null, readyPending: false, closed: null, released: null, waiting: null,
      closedPending: state === "writable" || state === "erroring",
    };
    stream.writer = writer;
    if (state === "writable") writer.readyPending = !isClosing(stream) && stream.backpressure;
    else if (state !== "closed") rejectReady(writer, stream.error);
    return writer;
  };

  /** Has a pipe that waits for room look again, in a microtask. */
  const wake = (writer) => {
    const { waiting } = writer;
    if (waiting === null) return;
    writer.waiting = null;
    then(RESOLVED, waiting);
  };

  const becomeReady = (writer) => {
    writer.readyPending = false;
    writer.ready?.resolve();
    wake(writer);
  };

  const rejectReady = (writer, error) => {
    if (!writer.readyPending || writer.ready === null) writer.ready = capability();
    writer.readyPending = false;
    handled(writer.ready.promise);
    writer.ready.reject(error);
    wake(writer);
  };

  const readyPromise = (writer) => {
    if (writer.ready === null) {
      writer.ready = capability();
      if (!writer.readyPending) writer.ready.resolve();
    }
    return writer.ready.promise;
  };

  const closedPromise = (writer) => {
    if (writer.closed === null) {
      const closed = (writer.closed = capability());
      handled(closed.promise);
      if (writer.stream === null) closed.reject(writer.released);
      else if (!writer.closedPending && writer.stream.state === "closed") closed.resolve();
      else if (!writer.closedPending) closed.reject(writer.stream.error);
    }
    return writer.closed.promise;
  };

  const releasedError = () => new TypeError("The writer was released");

  const releaseWriter = (writer) => {
    const { stream } = writer;
    if (stream === null) return;
    const error = (writer.released = releasedError());
    rejectReady(writer, error);
    if (writer.closed !== null) {
      // Pending: rejected; settled: replaced by a rejected one.
      if (writer.closedPending) writer.closed.reject(error);
      else writer.closed = null;
    }
    stream.writer = null;
    writer.stream = null;
  };

  const writerDesiredSize = ({ stream }) => {
    const { state, controller } = stream;
    return state === "closed" ? 0 : state === "writable" ? controller.highWaterMark - controller.size : null;
  };

  /** Writes a chunk; the request hears when it is written, or why not. */
  const write = (writer, chunk, request) => {
    const { stream } = writer;
    const { controller } = stream;
    const size = chunkSize(controller, chunk);
    if (stream !== writer.stream) {
      request.reject(releasedError());
    } else if (stream.state === "writable" && !isClosing(stream)) {
      stream.requests.push(request);
      if (!(size >= 0 && size < Infinity)) {
        sinkErrorIfNeeded(controller, new RangeError("The size of a chunk must be a finite, non-negative number"));
        return;
      }
      controller.push(chunk, size);
      if (!isClosing(stream) && stream.state === "writable") updateBackpressure(stream, hasBackpressure(controller));
      advance(controller);
    } else if (stream.state === "errored" || (stream.state === "erroring" && !isClosing(stream))) {
      request.reject(stream.error);
    } else {
      request.reject(closedError());
    }
  };

  const writePromise = (writer, chunk) => {
    const request = capability();
    write(writer, chunk, request);
    return request.promise;
  };

  // --- controllers ---

  class SinkController {
    queue = new Fifo();
    size = 0;
    started = false;
    object = null;
    // The signal that guests see, made when somebody looks; and, if it came first, the abort's reason.
    signal = null;
    aborted = false;
    reason = undefined;
    onWritten = null;
    onWriteFailed = null;
    constructor(stream, highWaterMark, sizeOf, write, close, abort) {
      this.stream = stream;
      this.highWaterMark = highWaterMark;
      this.sizeOf = sizeOf;
      this.counted = sizeOf === null;
      this.write = write;
      this.close = close;
      this.abort = abort;
      stream.controller = this;
      stream.backpressure = hasBackpressure(this);
    }
    clear() {
      this.write = this.close = this.abort = NOTHING;
      this.sizeOf = null;
    }
    reset() {
      this.queue = new Fifo();
      this.size = 0;
    }
    push(chunk, size) {
      this.queue.push(this.counted || chunk === CLOSE ? chunk : { chunk, size });
      this.size += size;
    }
    signalAbort(reason) {
      if (this.signal !== null) {
        nexus.signalAbort(this.signal, reason);
      } else if (!this.aborted) {
        this.aborted = true;
        this.reason = reason;
      }
    }
    getSignal() {
      if (this.signal === null) {
        this.signal = nexus.newAbortSignal();
        if (this.aborted) nexus.signalAbort(this.signal, this.reason);
        this.reason = undefined;
      }
      return this.signal;
    }
    error(reason) {
      if (this.stream.state === "writable") sinkError(this, reason);
    }
  }

  internal(SinkController);

  const hasBackpressure = (controller) => controller.highWaterMark - controller.size <= 0;

  const chunkSize = (controller, chunk) => {
    if (controller.sizeOf === null) return 1;
    try {
      return +(0, controller.sizeOf)(chunk);
    } catch (error) {
      sinkErrorIfNeeded(controller, error);
      return 1;
    }
  };

  const sinkError = (controller, error) => {
    controller.clear();
    startErroring(controller.stream, error);
  };
  const sinkErrorIfNeeded = (controller, error) => {
    if (controller.stream.state === "writable") sinkError(controller, error);
  };

  const start = (controller, result) => {
    then(
      result === undefined ? RESOLVED : promiseOf(result),
      () => {
        controller.started = true;
        advance(controller);
      },
      (error) => {
        controller.started = true;
        fail(controller.stream, error);
      },
    );
  };

  const advance = (controller) => {
    if (!controller.started) return;
    const { stream, queue } = controller;
    if (stream.inFlightWrite !== null) return;
    if (stream.state === "erroring") {
      finishErroring(stream);
      return;
    }
    if (queue.length === 0) return;
    const entry = queue.first;
    if (entry === CLOSE) finish(controller);
    else writeChunk(controller, controller.counted ? entry : entry.chunk);
  };

  const dequeue = (controller) => {
    const entry = controller.queue.shift();
    controller.size -= controller.counted ? 1 : entry.size;
    if (controller.size < 0) controller.size = 0;
  };

  const writeChunk = (controller, chunk) => {
    const { stream } = controller;
    stream.inFlightWrite = stream.requests.shift();
    then(
      promiseCall(controller.write, chunk, controller.object),
      (controller.onWritten ??= () => {
        const request = stream.inFlightWrite;
        stream.inFlightWrite = null;
        request.resolve();
        dequeue(controller);
        if (!isClosing(stream) && stream.state === "writable") updateBackpressure(stream, hasBackpressure(controller));
        advance(controller);
      }),
      (controller.onWriteFailed ??= (error) => {
        if (stream.state === "writable") controller.clear();
        const request = stream.inFlightWrite;
        stream.inFlightWrite = null;
        request.reject(error);
        fail(stream, error);
      }),
    );
  };

  const finish = (controller) => {
    const { stream } = controller;
    stream.inFlightClose = stream.closeRequest;
    stream.closeRequest = null;
    controller.queue.shift();
    const result = promiseCall(controller.close, undefined);
    controller.clear();
    then(
      result,
      () => {
        const request = stream.inFlightClose;
        stream.inFlightClose = null;
        request.resolve();
        if (stream.state === "erroring") {
          stream.error = undefined;
          stream.pendingAbort?.resolve();
          stream.pendingAbort = null;
        }
        stream.state = "closed";
        const { writer } = stream;
        if (writer === null) return;
        writer.closedPending = false;
        writer.closed?.resolve();
      },
      (error) => {
        const request = stream.inFlightClose;
        stream.inFlightClose = null;
        request.reject(error);
        stream.pendingAbort?.reject(error);
        stream.pendingAbort = null;
        fail(stream, error);
      },
    );
  };

  nexus.writableWorkings = {
    newStream, isClosing, abortStream, closedError, closeStream, acquireWriter, readyPromise, closedPromise,
    releasedError, releaseWriter, writerDesiredSize, write, writePromise, SinkController, sinkError, sinkErrorIfNeeded,
    start,
  };
})
