// ReadableStream with its default reader and controllers, and what bodies use of it.
// https://streams.spec.whatwg.org/#rs-class
(function (nexus) {
  "use strict";
  const {
    required, dictionary, callback, integer, isObject, bufferSource, finishInterface, illegalConstructor, hidden,
    AsyncIteratorPrototype,
  } = nexus.webidl;
  const {
    NOTHING, promiseCall, newStream, cancelStream, acquireReader, closedPromise, releasedError, releaseReader, read,
    readPromise, Controller, desiredSize, canCloseOrEnqueue, callPull, enqueue, closeController, controllerError, start,
  } = nexus.streams;
  const {
    apply, defineProperty, setPrototypeOf, isView, iterator, asyncIterator, toStringTag, Bytes, then, resolved, rejected,
    capability, sliceBytes, transfer, detached,
  } = nexus.builtins;

  const INTERNAL = { __proto__: null };
  const KEY = { __proto__: null };
  let streamOf, isStream, readerOf, controllerOf, byteControllerOf, newDefaultController, newByteController;

  const highWaterMarkOf = (strategy, fallback) => {
    if (strategy === undefined) return fallback;
    if (!(strategy >= 0)) throw new RangeError("The highWaterMark must be a non-negative number");
    return strategy;
  };
  const method = (value, name) => {
    if (value === undefined) return undefined;
    return callback(value, `ReadableStream: the source's ${name}`);
  };

  class ReadableStream {
    #record;
    static {
      streamOf = (object) => object.#record;
      isStream = (value) => typeof value === "object" && value !== null && #record in value;
    }
    constructor(underlyingSource = undefined, strategy = undefined) {
      this.#record = newStream(this);
      if (underlyingSource === INTERNAL) return;
      if (underlyingSource !== undefined && !isObject(underlyingSource)) {
        throw new TypeError("ReadableStream: the source is not an object");
      }
      let { highWaterMark, size } = dictionary(strategy, "ReadableStream: the strategy");
      if (highWaterMark !== undefined) highWaterMark = +highWaterMark;
      if (size !== undefined) callback(size, "ReadableStream: the strategy's size");
      const source = underlyingSource ?? {};
      const chunkSize = source.autoAllocateChunkSize;
      if (chunkSize !== undefined && integer(chunkSize, 64, false, "autoAllocateChunkSize", true) === 0) {
        throw new TypeError("ReadableStream: autoAllocateChunkSize is 0");
      }
      const cancel = method(source.cancel, "cancel");
      const pull = method(source.pull, "pull");
      const begin = method(source.start, "start");
      let { type } = source;
      if (type !== undefined && (type = `${type}`) !== "bytes") {
        throw new TypeError(`ReadableStream: the type "${type}" is unknown; it may be "bytes" or absent`);
      }
      const bytes = type !== undefined;
      if (bytes && size !== undefined) throw new RangeError("ReadableStream: a byte stream takes no size function");
      if (bytes && chunkSize !== undefined) {
        throw new TypeError("ReadableStream: autoAllocateChunkSize needs BYOB requests, which are not supported");
      }
      highWaterMark = highWaterMarkOf(highWaterMark, bytes ? 0 : 1);
      const controller = new Controller(
        this.#record,
        bytes,
        highWaterMark,
        size ?? null,
        pull === undefined ? NOTHING : (object) => apply(pull, underlyingSource, [object]),
        cancel === undefined ? NOTHING : (reason) => apply(cancel, underlyingSource, [reason]),
        null,
      );
      controller.object = bytes ? newByteController(controller) : newDefaultController(controller);
      start(controller, begin === undefined ? undefined : apply(begin, underlyingSource, [controller.object]));
    }

    static from(asyncIterable) {
      required(arguments.length, 1, "ReadableStream.from");
      return fromIterable(asyncIterable);
    }
    get locked() {
      return this.#record.reader !== null;
    }
    cancel(reason = undefined) {
      try {
        if (this.#record.reader !== null) throw new TypeError("The ReadableStream is locked to a reader");
        return cancelStream(this.#record, reason);
      } catch (error) {
        return rejected(error);
      }
    }
    getReader(options = undefined) {
      this.#record;
      let { mode } = dictionary(options, "ReadableStream.getReader");
      if (mode !== undefined) {
        mode = `${mode}`;
        if (mode === "byob") throw new TypeError("ReadableStream.getReader: BYOB readers are not supported");
        throw new TypeError(`ReadableStream.getReader: the mode "${mode}" is unknown`);
      }
      return new ReadableStreamDefaultReader(this);
    }
    tee() {
      return tee(this.#record, false);
    }
    values(options = undefined) {
      this.#record;
      const preventCancel = !!dictionary(options, "ReadableStream.values").preventCancel;
      return new StreamIterator(acquireReader(this.#record, null), preventCancel);
    }
  }

  class ReadableStreamDefaultReader {
    #record;
    static {
      readerOf = (object) => object.#record;
    }
    constructor(stream) {
      required(arguments.length, 1, "ReadableStreamDefaultReader");
      if (!isStream(stream)) throw new TypeError("ReadableStreamDefaultReader: not a ReadableStream");
      this.#record = acquireReader(streamOf(stream), this);
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
    read() {
      try {
        if (this.#record.stream === null) throw releasedError();
        return readPromise(this.#record);
      } catch (error) {
        return rejected(error);
      }
    }
    releaseLock() {
      releaseReader(this.#record);
    }
  }

  class ReadableStreamDefaultController {
    #record;
    static {
      newDefaultController = (record) => {
        const object = new ReadableStreamDefaultController(KEY);
        object.#record = record;
        return object;
      };
      controllerOf = (object) => object.#record;
    }
    constructor() {
      if (arguments[0] !== KEY) throw illegalConstructor();
    }
    get desiredSize() {
      return desiredSize(this.#record);
    }
    close() {
      if (!canCloseOrEnqueue(this.#record)) throw new TypeError("The stream is closed or errored already");
      closeController(this.#record);
    }
    enqueue(chunk = undefined) {
      if (!canCloseOrEnqueue(this.#record)) throw new TypeError("The stream is closed or errored already");
      enqueue(this.#record, chunk);
    }
    error(e = undefined) {
      controllerError(this.#record, e);
    }
  }

  class ReadableByteStreamController {
    #record;
    static {
      newByteController = (record) => {
        const object = new ReadableByteStreamController(KEY);
        object.#record = record;
        return object;
      };
      byteControllerOf = (object) => object.#record;
    }
    constructor() {
      if (arguments[0] !== KEY) throw illegalConstructor();
    }
    /** Always null: there are no BYOB readers. */
    get byobRequest() {
      this.#record;
      return null;
    }
    get desiredSize() {
      return desiredSize(this.#record);
    }
    close() {
      if (!canCloseOrEnqueue(this.#record)) throw new TypeError("The stream is closed or errored already");
      closeController(this.#record);
    }
    enqueue(chunk) {
      const record = this.#record;
      required(arguments.length, 1, "ReadableByteStreamController.enqueue");
      if (!isView(chunk)) throw new TypeError("ReadableByteStreamController.enqueue: not a view of an ArrayBuffer");
      const { buffer, byteOffset, byteLength } = bufferSource(chunk, "ReadableByteStreamController.enqueue");
      if (byteLength === 0) throw new TypeError("ReadableByteStreamController.enqueue: the chunk is empty");
      if (detached(buffer)) throw new TypeError("ReadableByteStreamController.enqueue: the buffer is detached");
      if (!canCloseOrEnqueue(record)) throw new TypeError("The stream is closed or errored already");
      enqueue(record, new Bytes(transfer(buffer), byteOffset, byteLength));
    }
    error(e = undefined) {
      controllerError(this.#record, e);
    }
  }

  /** The iterator of `for await`; its calls run one after the other. */
  class StreamIterator {
    #reader;
    #preventCancel;
    #ongoing = null;
    #finished = false;
    constructor(reader, preventCancel) {
      this.#reader = reader;
      this.#preventCancel = preventCancel;
    }
    #queue(step) {
      const ongoing = this.#ongoing;
      return (this.#ongoing = ongoing === null ? step() : then(ongoing, step, step));
    }
    #next() {
      if (this.#finished) return resolved({ value: undefined, done: true });
      const reader = this.#reader;
      const { promise, resolve, reject } = capability();
      read(reader, {
        chunk: (value) => resolve({ value, done: false }),
        close: () => {
          this.#finished = true;
          releaseReader(reader);
          resolve({ value: undefined, done: true });
        },
        error: (error) => {
          this.#finished = true;
          releaseReader(reader);
          reject(error);
        },
      });
      return promise;
    }
    #return(value) {
      if (this.#finished) return resolved({ value, done: true });
      this.#finished = true;
      const reader = this.#reader;
      const { stream } = reader;
      const canceled = this.#preventCancel ? resolved(undefined) : cancelStream(stream, value);
      releaseReader(reader);
      return then(canceled, () => ({ value, done: true }));
    }
    next() {
      try {
        return this.#queue(() => this.#next());
      } catch (error) {
        return rejected(error);
      }
    }
    return(value = undefined) {
      try {
        return this.#queue(() => this.#return(value));
      } catch (error) {
        return rejected(error);
      }
    }
  }
  delete StreamIterator.prototype.constructor;
  setPrototypeOf(StreamIterator.prototype, AsyncIteratorPrototype);
  defineProperty(StreamIterator.prototype, "next", { __proto__: null, enumerable: true });
  defineProperty(StreamIterator.prototype, "return", { __proto__: null, enumerable: true });
  defineProperty(StreamIterator.prototype, toStringTag, {
    __proto__: null, value: "ReadableStream AsyncIterator", configurable: true,
  });

  const fromIterable = (iterable) => {
    const missing = () => new TypeError("ReadableStream.from: not iterable");
    if (iterable === undefined || iterable === null) throw missing();
    let create = iterable[asyncIterator];
    const async = create !== undefined && create !== null;
    if (!async) create = iterable[iterator];
    if (typeof create !== "function") throw missing();
    const source = apply(create, iterable, []);
    if (!isObject(source)) throw new TypeError("ReadableStream.from: the iterator is not an object");
    const { next } = source;
    // An iterator that is not asynchronous may hold promises: their values are the chunks.
    const settle = (result) => {
      if (!isObject(result)) throw new TypeError("ReadableStream.from: an iterator's result is not an object");
      if (result.done) return undefined;
      return async ? [result.value] : then(resolved(result.value), (value) => [value]);
    };
    const object = new ReadableStream(
      {
        pull(controller) {
          return then(then(promiseCall(next, source, []), settle), (chunk) => {
            if (chunk === undefined) closeController(controllerOf(controller));
            else enqueue(controllerOf(controller), chunk[0]);
          });
        },
        cancel(reason) {
          const method = source.return;
          if (method === undefined || method === null) return undefined;
          return then(promiseCall(method, source, [reason]), (result) => {
            if (!isObject(result)) throw new TypeError("ReadableStream.from: an iterator's result is not an object");
          });
        },
      },
      { highWaterMark: 0 },
    );
    return object;
  };

  const { values } = ReadableStream.prototype;
  defineProperty(ReadableStream.prototype, asyncIterator, hidden(values));
  finishInterface(ReadableStream);
  finishInterface(ReadableStreamDefaultReader);
  finishInterface(ReadableStreamDefaultController);
  finishInterface(ReadableByteStreamController);

  /** A stream over an internal source, started at once: `native` is `{ pull(controller), cancel(reason) }`. */
  const nativeStream = (native, bytes, highWaterMark) => {
    const object = new ReadableStream(INTERNAL);
    const cancel = native.cancel === undefined ? NOTHING : (reason) => native.cancel(reason);
    const controller = new Controller(streamOf(object), bytes, highWaterMark, null, NOTHING, cancel, native);
    controller.started = true;
    callPull(controller);
    return object;
  };

  /** Two streams of the same chunks; with `clone`, the second gets copies of byte chunks. */
  const tee = (stream, clone) => {
    const reader = acquireReader(stream, null);
    const { bytes } = stream.controller;
    const canceled = [false, false];
    const reasons = [undefined, undefined];
    const done = capability();
    let reading = false;
    let again = false;
    const pull = () => {
      if (reading) {
        again = true;
        return;
      }
      reading = true;
      read(reader, {
        // As the standard says, a microtask later: the source's own reactions come first.
        chunk: (chunk) =>
          then(resolved(undefined), () => {
            again = false;
            const second = (clone || bytes) && !canceled[0] && isView(chunk) ? sliceBytes(bufferSource(chunk, "tee")) : chunk;
            if (!canceled[0]) enqueue(controllers[0], chunk);
            if (!canceled[1]) enqueue(controllers[1], second);
            reading = false;
            if (again) pull();
          }),
        close: () => {
          reading = false;
          for (let i = 0; i < 2; i++) if (!canceled[i]) closeController(controllers[i]);
          if (!canceled[0] || !canceled[1]) done.resolve();
        },
        error: () => {
          reading = false;
        },
      });
    };
    const branch = (i) => {
      const native = {
        pull,
        cancel(reason) {
          canceled[i] = true;
          reasons[i] = reason;
          if (canceled[1 - i]) done.resolve(cancelStream(stream, reasons));
          return done.promise;
        },
      };
      return nativeStream(native, bytes, 0);
    };
    const branches = [branch(0), branch(1)];
    const controllers = [streamOf(branches[0]).controller, streamOf(branches[1]).controller];
    if (!bytes) {
      // The standard's branches of a default stream read one chunk ahead.
      for (let i = 0; i < 2; i++) controllers[i].highWaterMark = 1;
      then(resolved(undefined), () => {
        for (let i = 0; i < 2; i++) callPull(controllers[i]);
      });
    }
    then(closedPromise(reader), undefined, (error) => {
      for (let i = 0; i < 2; i++) controllerError(controllers[i], error);
      if (!canceled[0] || !canceled[1]) done.resolve();
    });
    return branches;
  };

  // --- for bodies and other internals ---

  nexus.isReadableStream = isStream;
  nexus.readableStreamErrored = (object) => streamOf(object).state === "errored";
  nexus.readableStreamClosed = (object) => streamOf(object).state === "closed";
  nexus.readableStreamLocked = (object) => streamOf(object).reader !== null;
  nexus.readableStreamDisturbed = (object) => streamOf(object).disturbed;
  /** Marks a stream as read from. */
  nexus.disturb = (object) => {
    streamOf(object).disturbed = true;
  };
  /**
   * A stream over an internal source. `pull(controller)` is called when a chunk is wanted, and not again before
   * the source has answered, now or later, with `controller.enqueue`, `.close` or `.error`, or with a promise that
   * rejects; `cancel(reason)` may return a promise. With `bytes` the chunks must be Uint8Arrays.
   */
  nexus.createReadableStream = ({ pull, cancel, highWaterMark = 0, bytes = false }) =>
    nativeStream({ pull, cancel }, bytes, highWaterMark);
  /** Locks a stream to an internal reader; throws TypeError if it is locked. */
  nexus.getReaderInternal = (object) => acquireReader(streamOf(object), null);
  nexus.releaseReaderInternal = releaseReader;
  /** Cancels the stream of an internal reader; a promise. */
  nexus.cancelReaderInternal = (reader, reason) =>
    reader.stream === null ? resolved(undefined) : cancelStream(reader.stream, reason);
  /** Cancels a stream, locked or not; a promise. */
  nexus.cancelStream = (object, reason) => cancelStream(streamOf(object), reason);
  /** One read, as a promise of `{ value, done }`. */
  nexus.readInternal = readPromise;
  /** One read without a promise: exactly one of the steps is called, maybe before this returns. */
  nexus.streamPull = (reader, chunk, close, error) => read(reader, { chunk, close, error });
  /**
   * Reads to the end, without deep recursion over chunks that are there already. `chunk(value)` may return a
   * promise, and no more is read before it; a throw or a rejection from it goes to `error`.
   */
  nexus.pumpStream = (reader, chunk, close, error) => {
    let looping = false;
    let again = false;
    const request = {
      chunk(value) {
        let result;
        try {
          result = chunk(value);
        } catch (reason) {
          error(reason);
          return;
        }
        if (result !== undefined) then(result, loop, error);
        else if (looping) again = true;
        else loop();
      },
      close,
      error,
    };
    const loop = () => {
      looping = true;
      do {
        again = false;
        read(reader, request);
      } while (again);
      looping = false;
    };
    loop();
  };
  /** Two streams for a clone: the second has chunks of its own. */
  nexus.teeReadableStream = (object) => tee(streamOf(object), true);
})
