// WritableStream, its writer and its controller. https://streams.spec.whatwg.org/#ws-class
(function (nexus) {
  "use strict";
  const { required, dictionary, callback, isObject, finishInterface, illegalConstructor } = nexus.webidl;
  const { NOTHING, promised, algorithmOf, strategyOf, highWaterMarkOf, sizeOf } = nexus.streams;
  const {
    newStream, isClosing, abortStream, closedError, closeStream, acquireWriter, readyPromise, closedPromise,
    releasedError, releaseWriter, writerDesiredSize, writePromise, SinkController, sinkErrorIfNeeded, start,
  } = nexus.writableWorkings;
  const { apply, rejected } = nexus.builtins;

  const INTERNAL = { __proto__: null };
  const KEY = { __proto__: null };
  let streamOf, isStream, newController;

  const locked = () => new TypeError("The WritableStream is locked to a writer");
  const method = (value, name) =>
    value === undefined ? undefined : callback(value, `WritableStream: the sink's ${name}`);

  class WritableStream {
    #record;
    static {
      streamOf = (object) => object.#record;
      isStream = (value) => typeof value === "object" && value !== null && #record in value;
    }
    constructor(underlyingSink = undefined, strategy = undefined) {
      this.#record = newStream(this);
      if (underlyingSink === INTERNAL) return;
      if (underlyingSink !== undefined && !isObject(underlyingSink)) {
        throw new TypeError("WritableStream: the sink is not an object");
      }
      const given = strategyOf(strategy, "WritableStream: the strategy");
      const sink = dictionary(underlyingSink);
      const abort = method(sink.abort, "abort");
      const close = method(sink.close, "close");
      const begin = method(sink.start, "start");
      const { type } = sink;
      const write = method(sink.write, "write");
      if (type !== undefined) throw new RangeError("WritableStream: a sink has no type");
      const controller = new SinkController(
        this.#record,
        highWaterMarkOf(given, 1),
        sizeOf(given),
        write === undefined ? NOTHING : (chunk, object) => promised(apply(write, underlyingSink, [chunk, object])),
        close === undefined ? NOTHING : () => promised(apply(close, underlyingSink, [])),
        algorithmOf(abort, underlyingSink),
      );
      controller.object = newController(controller);
      start(controller, begin === undefined ? undefined : apply(begin, underlyingSink, [controller.object]));
    }
    get locked() {
      return this.#record.writer !== null;
    }
    abort(reason = undefined) {
      try {
        if (this.#record.writer !== null) throw locked();
        return abortStream(this.#record, reason);
      } catch (error) {
        return rejected(error);
      }
    }
    close() {
      try {
        if (this.#record.writer !== null) throw locked();
        if (isClosing(this.#record)) throw closedError();
        return closeStream(this.#record);
      } catch (error) {
        return rejected(error);
      }
    }
    getWriter() {
      this.#record;
      return new WritableStreamDefaultWriter(this);
    }
  }

  class WritableStreamDefaultWriter {
    #record;
    constructor(stream) {
      required(arguments.length, 1, "WritableStreamDefaultWriter");
      if (!isStream(stream)) throw new TypeError("WritableStreamDefaultWriter: not a WritableStream");
      this.#record = acquireWriter(streamOf(stream));
    }
    get closed() {
      try {
        return closedPromise(this.#record);
      } catch (error) {
        return rejected(error);
      }
    }
    get desiredSize() {
      if (this.#record.stream === null) throw releasedError();
      return writerDesiredSize(this.#record);
    }
    get ready() {
      try {
        return readyPromise(this.#record);
      } catch (error) {
        return rejected(error);
      }
    }
    abort(reason = undefined) {
      try {
        if (this.#record.stream === null) throw releasedError();
        return abortStream(this.#record.stream, reason);
      } catch (error) {
        return rejected(error);
      }
    }
    close() {
      try {
        const { stream } = this.#record;
        if (stream === null) throw releasedError();
        if (isClosing(stream)) throw closedError();
        return closeStream(stream);
      } catch (error) {
        return rejected(error);
      }
    }
    releaseLock() {
      releaseWriter(this.#record);
    }
    write(chunk = undefined) {
      try {
        if (this.#record.stream === null) throw releasedError();
        return writePromise(this.#record, chunk);
      } catch (error) {
        return rejected(error);
      }
    }
  }

  class WritableStreamDefaultController {
    #record;
    static {
      newController = (record) => {
        const object = new WritableStreamDefaultController(KEY);
        object.#record = record;
        return object;
      };
    }
    constructor() {
      if (arguments[0] !== KEY) throw illegalConstructor();
    }
    get signal() {
      return this.#record.getSignal();
    }
    error(e = undefined) {
      sinkErrorIfNeeded(this.#record, e);
    }
  }

  finishInterface(WritableStream);
  finishInterface(WritableStreamDefaultWriter);
  finishInterface(WritableStreamDefaultController);

  nexus.isWritableStream = isStream;
  nexus.writables = {
    recordOf: streamOf,
    /** A stream over internal algorithms: `write(chunk)`, `close()`, `abort(reason)`; `started` may be a promise. */
    make(write, close, abort, highWaterMark, sizes, started) {
      const object = new WritableStream(INTERNAL);
      start(new SinkController(streamOf(object), highWaterMark, sizes, write, close, abort), started);
      return object;
    },
  };
})
