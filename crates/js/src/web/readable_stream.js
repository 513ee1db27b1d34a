// ReadableStream with its default reader, controller and iterator, and what bodies use of it.
// https://streams.spec.whatwg.org/#rs-class
(function (nexus) {
  "use strict";
  const {
    required, dictionary, callback, integer, isObject, finishInterface, illegalConstructor, hidden,
    AsyncIteratorPrototype,
  } = nexus.webidl;
  const {
    NOTHING, RESOLVED, internal, handled, promiseOf, algorithmOf, newStream, cancelStream, acquireReader, closedPromise,
    releasedError, releaseReader, read, PromiseRequest, readPromise, Controller, desiredSize, canCloseOrEnqueue,
    callPull, enqueue, closeController, controllerError, start, take,
  } = nexus.streams;
  const { apply, defineProperty, setPrototypeOf, asyncIterator, toStringTag, then, resolved, rejected } =
    nexus.builtins;

  const INTERNAL = { __proto__: null };
  const KEY = { __proto__: null };
  let streamOf, isStream, newDefaultController;

  /** A queuing strategy's members: `highWaterMark` (a number) and `size` (a function), each maybe undefined. */
  const strategyOf = (strategy, what) => {
    const given = dictionary(strategy, what);
    let { highWaterMark } = given;
    if (highWaterMark !== undefined) highWaterMark = +highWaterMark;
    const { size } = given;
    if (size !== undefined) callback(size, `${what}: size`);
    return { __proto__: null, highWaterMark, size };
  };
  const highWaterMarkOf = ({ highWaterMark }, fallback) => {
    if (highWaterMark === undefined) return fallback;
    if (!(highWaterMark >= 0)) throw new RangeError("The highWaterMark must be a non-negative number");
    return highWaterMark;
  };
  /** A strategy's function of sizes; null stands for one that says 1. */
  const sizeOf = ({ size }) => (size === undefined || size === nexus.countSize ? null : size);
  const method = (value, name) =>
    value === undefined ? undefined : callback(value, `ReadableStream: the source's ${name}`);

  /** The options of a pipe. */
  const pipeOptions = (options, what) => {
    const given = dictionary(options, what);
    const preventAbort = !!given.preventAbort;
    const preventCancel = !!given.preventCancel;
    const preventClose = !!given.preventClose;
    const { signal } = given;
    if (signal !== undefined && !nexus.isAbortSignal(signal)) {
      throw new TypeError(`${what}: the signal is not an AbortSignal`);
    }
    return { __proto__: null, preventAbort, preventCancel, preventClose, signal };
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
      const given = strategyOf(strategy, "ReadableStream: the strategy");
      const source = dictionary(underlyingSource);
      let chunkSize = source.autoAllocateChunkSize;
      if (chunkSize !== undefined) chunkSize = integer(chunkSize, 64, false, "autoAllocateChunkSize", true);
      const cancel = method(source.cancel, "cancel");
      const pull = method(source.pull, "pull");
      const begin = method(source.start, "start");
      let { type } = source;
      if (type !== undefined && (type = `${type}`) !== "bytes") {
        throw new TypeError(`ReadableStream: the type "${type}" is unknown; it may be "bytes" or absent`);
      }
      const bytes = type !== undefined;
      if (bytes && given.size !== undefined) {
        throw new RangeError("ReadableStream: a byte stream takes no size function");
      }
      const highWaterMark = highWaterMarkOf(given, bytes ? 0 : 1);
      if (chunkSize === 0 && bytes) throw new TypeError("ReadableStream: autoAllocateChunkSize is 0");
      const pulling = algorithmOf(pull, underlyingSource);
      const canceling = algorithmOf(cancel, underlyingSource);
      let controller;
      if (bytes) {
        controller = nexus.byteStreams.newController(this.#record, highWaterMark, pulling, canceling, null, chunkSize);
      } else {
        controller = new Controller(this.#record, highWaterMark, sizeOf(given), pulling, canceling, null);
        controller.object = newDefaultController(controller);
      }
      start(controller, begin === undefined ? undefined : apply(begin, underlyingSource, [controller.object]));
    }

    static from(asyncIterable) {
      required(arguments.length, 1, "ReadableStream.from");
      return nexus.readableTools.from(asyncIterable);
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
      if (mode === undefined) return new ReadableStreamDefaultReader(this);
      mode = `${mode}`;
      if (mode !== "byob") throw new TypeError(`ReadableStream.getReader: the mode "${mode}" is unknown`);
      return nexus.byteStreams.newReader(this);
    }
    pipeThrough(transform, options = undefined) {
      const what = "ReadableStream.pipeThrough";
      const record = this.#record;
      required(arguments.length, 1, what);
      const pair = dictionary(transform, what);
      const { readable } = pair;
      if (!isStream(readable)) throw new TypeError(`${what}: readable is not a ReadableStream`);
      const { writable } = pair;
      if (!nexus.isWritableStream(writable)) throw new TypeError(`${what}: writable is not a WritableStream`);
      const given = pipeOptions(options, what);
      if (record.reader !== null) throw new TypeError("The ReadableStream is locked to a reader");
      const destination = nexus.writables.recordOf(writable);
      if (destination.writer !== null) throw new TypeError("The WritableStream is locked to a writer");
      handled(nexus.pipe(record, destination, given));
      return readable;
    }
    pipeTo(destination, options = undefined) {
      try {
        const what = "ReadableStream.pipeTo";
        const record = this.#record;
        required(arguments.length, 1, what);
        if (!nexus.isWritableStream(destination)) {
          throw new TypeError(`${what}: the destination is not a WritableStream`);
        }
        const given = pipeOptions(options, what);
        if (record.reader !== null) throw new TypeError("The ReadableStream is locked to a reader");
        const sink = nexus.writables.recordOf(destination);
        if (sink.writer !== null) throw new TypeError("The WritableStream is locked to a writer");
        return nexus.pipe(record, sink, given);
      } catch (error) {
        return rejected(error);
      }
    }
    tee() {
      return nexus.readableTools.tee(this.#record, false);
    }
    values(options = undefined) {
      this.#record;
      const preventCancel = !!dictionary(options, "ReadableStream.values").preventCancel;
      return new StreamIterator(acquireReader(this.#record), preventCancel);
    }
  }

  class ReadableStreamDefaultReader {
    #record;
    constructor(stream) {
      required(arguments.length, 1, "ReadableStreamDefaultReader");
      if (!isStream(stream)) throw new TypeError("ReadableStreamDefaultReader: not a ReadableStream");
      this.#record = acquireReader(streamOf(stream));
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

  // What an iterator's read settles with at the stream's end.
  const END = { __proto__: null };
  class IteratorRequest extends PromiseRequest {
    constructor(reader) {
      super();
      this.reader = reader;
    }
    chunk(value) {
      this.resolve(value);
    }
    close() {
      releaseReader(this.reader);
      this.resolve(END);
    }
    error(reason) {
      releaseReader(this.reader);
      this.reject(reason);
    }
  }

  /** Whether a promise resolved with this would not be fulfilled at once. Looks `then` up, as resolving does. */
  const mayBeThenable = (value) => {
    if (!isObject(value)) return false;
    try {
      return typeof value.then === "function";
    } catch {
      return true;
    }
  };

  /** The workings of an iterator, an asynchronous iterator object of Web IDL: its calls run one after the other. */
  class Iteration {
    ongoing = null;
    // How many calls wait for the one before them. While there are any, a call that is over leaves `ongoing` alone; with
    // the standard, which does not look, one more could run beside them, and return() while a read is pending.
    waiting = 0;
    finished = false;
    // What a step in the next microtask gives; END if there is none.
    chunk = END;
    constructor(reader, preventCancel) {
      this.reader = reader;
      this.preventCancel = preventCancel;
      this.onNext = (chunk) => {
        this.over();
        if (chunk !== END) return { value: chunk, done: false };
        this.finished = true;
        return { value: undefined, done: true };
      };
      this.onTaken = () => {
        const { chunk } = this;
        this.over();
        this.chunk = END;
        return { value: chunk, done: false };
      };
      this.onFailed = (reason) => {
        this.over();
        this.finished = true;
        throw reason;
      };
    }
    over() {
      if (this.waiting === 0) this.ongoing = null;
    }
    /** Runs `step`, once those before it are over. Gives its promise. */
    inTurn(step) {
      const { ongoing } = this;
      if (ongoing === null) return (this.ongoing = step());
      this.waiting++;
      const turn = () => {
        this.waiting--;
        return step();
      };
      return (this.ongoing = then(ongoing, turn, turn));
    }
    next() {
      if (this.finished) return resolved({ value: undefined, done: true });
      const { reader } = this;
      const { stream } = reader;
      const { controller } = stream;
      if (stream.state === "readable" && !controller.bytes && controller.queue.length > 0) {
        stream.disturbed = true;
        const chunk = take(controller);
        // The source's pull may have called next(), too.
        if (this.chunk !== END || mayBeThenable(chunk)) return then(promiseOf(chunk), this.onNext, this.onFailed);
        this.chunk = chunk;
        return then(RESOLVED, this.onTaken);
      }
      const request = new IteratorRequest(reader);
      read(reader, request);
      return then(request.promise, this.onNext, this.onFailed);
    }
    return(value) {
      if (this.finished) return resolved({ value, done: true });
      this.finished = true;
      const { reader } = this;
      const canceled = this.preventCancel ? resolved(undefined) : cancelStream(reader.stream, value);
      releaseReader(reader);
      return canceled;
    }
  }

  internal(Iteration);

  /** The iterator of `for await`. */
  class StreamIterator {
    #record;
    constructor(reader, preventCancel) {
      this.#record = new Iteration(reader, preventCancel);
    }
    next() {
      try {
        const record = this.#record;
        // The common case needs no closure.
        if (record.ongoing === null) return (record.ongoing = record.next());
        return record.inTurn(() => record.next());
      } catch (error) {
        return rejected(error);
      }
    }
    return(value) {
      try {
        const record = this.#record;
        return then(record.inTurn(() => record.return(value)), () => ({ value, done: true }));
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

  const { values } = ReadableStream.prototype;
  defineProperty(ReadableStream.prototype, asyncIterator, hidden(values));
  finishInterface(ReadableStream);
  finishInterface(ReadableStreamDefaultReader);
  finishInterface(ReadableStreamDefaultController);

  /** A stream over an internal source, started at once: `native` is `{ pull(controller), cancel(reason) }`. */
  const nativeStream = (native, bytes, highWaterMark) => {
    const object = new ReadableStream(INTERNAL);
    const cancel = native.cancel === undefined ? NOTHING : (reason) => native.cancel(reason);
    const controller = bytes
      ? nexus.byteStreams.newController(streamOf(object), highWaterMark, NOTHING, cancel, native, undefined)
      : new Controller(streamOf(object), highWaterMark, null, NOTHING, cancel, native);
    if (native.start !== undefined) native.start(controller);
    controller.started = true;
    callPull(controller);
    return object;
  };

  nexus.streams.streamOf = streamOf;
  nexus.streams.isStream = isStream;
  nexus.streams.strategyOf = strategyOf;
  nexus.streams.highWaterMarkOf = highWaterMarkOf;
  nexus.streams.sizeOf = sizeOf;
  /** A stream as the standard's own are made: with algorithms of one argument, and a start that may be a promise. */
  nexus.streams.makeStream = (pull, cancel, highWaterMark, sizes, started) => {
    const object = new ReadableStream(INTERNAL);
    start(new Controller(streamOf(object), highWaterMark, sizes, pull, cancel, null), started);
    return object;
  };
  /** The same for bytes. */
  nexus.streams.makeByteStream = (pull, cancel) => {
    const object = new ReadableStream(INTERNAL);
    start(nexus.byteStreams.newController(streamOf(object), 0, pull, cancel, null, undefined), undefined);
    return object;
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
  nexus.createReadableStream = ({ start, pull, cancel, highWaterMark = 0, bytes = false }) =>
    nativeStream({ start, pull, cancel }, bytes, highWaterMark);
  /** Locks a stream to an internal reader; throws TypeError if it is locked. */
  nexus.getReaderInternal = (object) => acquireReader(streamOf(object));
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
  nexus.teeReadableStream = (object) => nexus.readableTools.tee(streamOf(object), true);
})
