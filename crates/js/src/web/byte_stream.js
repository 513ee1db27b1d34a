// ReadableByteStreamController, ReadableStreamBYOBReader and ReadableStreamBYOBRequest.
// https://streams.spec.whatwg.org/#byob-reader-class
(function (nexus) {
  "use strict";
  const { required, dictionary, integer, finishInterface, illegalConstructor } = nexus.webidl;
  const {
    acquireReader, cancelStream, closedPromise, releasedError, releaseReader, PromiseRequest, desiredSize,
    canCloseOrEnqueue, streamOf, isStream,
  } = nexus.streams;
  const { ByteController, describe, enqueueBytes, closeBytes, errorBytes, respond, respondWithView, readInto } =
    nexus.byteWorkings;
  const { Bytes, isView, rejected, transfer, detached, bufferLength } = nexus.builtins;
  const { isResizable } = nexus.builtins.clonable;

  const KEY = { __proto__: null };
  let newByteController, newRequest;

  /** An argument of the type ArrayBufferView, described. */
  const viewArgument = (value, what) => {
    if (!isView(value)) throw new TypeError(`${what}: not a view of an ArrayBuffer`);
    const view = describe(value);
    if (isResizable(view.buffer)) throw new TypeError(`${what}: the view's buffer is resizable`);
    return view;
  };

  class ReadableByteStreamController {
    #record;
    static {
      newByteController = (record) => {
        const object = new ReadableByteStreamController(KEY);
        object.#record = record;
        return object;
      };
    }
    constructor() {
      if (arguments[0] !== KEY) throw illegalConstructor();
    }
    get byobRequest() {
      const record = this.#record;
      if (record.request === null && record.pending.length > 0) {
        record.request = { controller: record, view: record.pending.first.rest(), object: null };
        record.request.object = newRequest(record.request);
      }
      return record.request === null ? null : record.request.object;
    }
    get desiredSize() {
      return desiredSize(this.#record);
    }
    close() {
      if (!canCloseOrEnqueue(this.#record)) throw new TypeError("The stream is closed or errored already");
      closeBytes(this.#record);
    }
    enqueue(chunk) {
      const what = "ReadableByteStreamController.enqueue";
      const record = this.#record;
      required(arguments.length, 1, what);
      const { buffer, offset, length } = viewArgument(chunk, what);
      if (length === 0) throw new TypeError(`${what}: the chunk is empty`);
      if (bufferLength(buffer) === 0) throw new TypeError(`${what}: the chunk's buffer is empty or detached`);
      if (!canCloseOrEnqueue(record)) throw new TypeError("The stream is closed or errored already");
      enqueueBytes(record, new Bytes(transfer(buffer), offset, length));
    }
    error(e = undefined) {
      errorBytes(this.#record, e);
    }
  }
  finishInterface(ReadableByteStreamController);

  class ReadableStreamBYOBRequest {
    #record;
    static {
      newRequest = (record) => {
        const object = new ReadableStreamBYOBRequest(KEY);
        object.#record = record;
        return object;
      };
    }
    constructor() {
      if (arguments[0] !== KEY) throw illegalConstructor();
    }
    get view() {
      return this.#record.view;
    }
    respond(bytesWritten) {
      const what = "ReadableStreamBYOBRequest.respond";
      const record = this.#record;
      required(arguments.length, 1, what);
      const written = integer(bytesWritten, 64, false, what, true);
      const { controller, view } = record;
      if (controller === null) throw new TypeError(`${what}: the request was answered already`);
      if (detached(describe(view).buffer)) throw new TypeError(`${what}: the view's buffer is detached`);
      respond(controller, written);
    }
    respondWithNewView(view) {
      const what = "ReadableStreamBYOBRequest.respondWithNewView";
      this.#record;
      required(arguments.length, 1, what);
      const { buffer } = viewArgument(view, what);
      const { controller } = this.#record;
      if (controller === null) throw new TypeError(`${what}: the request was answered already`);
      if (detached(buffer)) throw new TypeError(`${what}: the view's buffer is detached`);
      respondWithView(controller, view);
    }
  }
  finishInterface(ReadableStreamBYOBRequest);

  class ReadableStreamBYOBReader {
    #record;
    constructor(stream) {
      required(arguments.length, 1, "ReadableStreamBYOBReader");
      if (!isStream(stream)) throw new TypeError("ReadableStreamBYOBReader: not a ReadableStream");
      this.#record = acquireByobReader(streamOf(stream));
    }
    get closed() {
      try {
        return closedPromise(this.#record);
      } catch (error) {
        return rejected(error);
      }
    }
    cancel(reason = undefined) {
      try {
        if (this.#record.stream === null) throw releasedError();
        return cancelStream(this.#record.stream, reason);
      } catch (error) {
        return rejected(error);
      }
    }
    read(view, options = undefined) {
      try {
        const what = "ReadableStreamBYOBReader.read";
        const record = this.#record;
        required(arguments.length, 1, what);
        const { unit } = viewArgument(view, what);
        let { min } = dictionary(options, what);
        min = min === undefined ? 1 : integer(min, 64, false, `${what}: min`, true);
        // Reading the options may have run code of the guest's.
        const now = describe(view);
        if (now.length === 0) throw new TypeError(`${what}: the view is empty`);
        if (bufferLength(now.buffer) === 0) throw new TypeError(`${what}: the view's buffer is empty`);
        if (detached(now.buffer)) throw new TypeError(`${what}: the view's buffer is detached`);
        if (min === 0) throw new TypeError(`${what}: min is 0`);
        if (min > now.length / unit) throw new RangeError(`${what}: min is larger than the view`);
        if (record.stream === null) throw releasedError();
        const request = new PromiseRequest();
        readInto(record, view, min, request);
        return request.promise;
      } catch (error) {
        return rejected(error);
      }
    }
    releaseLock() {
      releaseReader(this.#record);
    }
  }
  finishInterface(ReadableStreamBYOBReader);

  const acquireByobReader = (stream) => {
    if (stream.reader !== null) throw new TypeError("The ReadableStream is locked to a reader");
    if (!stream.controller.bytes) throw new TypeError("The ReadableStream is not a byte stream");
    return acquireReader(stream, true);
  };

  nexus.byteStreams = {
    acquireByobReader,
    newReader: (object) => new ReadableStreamBYOBReader(object),
    /** Gives a stream a byte controller; an internal source (`native`) sees the record, a guest's its object. */
    newController(stream, highWaterMark, pull, cancel, native, chunkSize) {
      const controller = new ByteController(stream, highWaterMark, pull, cancel, native, chunkSize);
      if (native === null) controller.object = newByteController(controller);
      return controller;
    },
  };
})
