// TransformStream and its controller. https://streams.spec.whatwg.org/#ts
//
// A transform is one record for the stream and its controller; internal transformers (TextDecoderStream and others)
// get the record itself, with `enqueue`, `error` and `terminate`.
(function (nexus) {
  "use strict";
  const { callback, dictionary, isObject, finishInterface, illegalConstructor } = nexus.webidl;
  const {
    NOTHING, internal, capability, promiseCall, promised, algorithmOf, strategyOf, highWaterMarkOf, sizeOf, streamOf,
    makeStream, desiredSize, canCloseOrEnqueue, shouldPull, enqueue, closeController, controllerError,
  } = nexus.streams;
  const { sinkErrorIfNeeded } = nexus.writableWorkings;
  const { apply, then } = nexus.builtins;

  const KEY = { __proto__: null };
  let isTransform, recordOf, newController;

  class Transform {
    // Until the first pull, and whenever the readable side wants nothing: a write waits.
    backpressure = true;
    // Settles when that changes; made when somebody waits.
    change = null;
    // How a cancellation, an abort or the end goes, once there is one: a capability.
    finishing = null;
    object = null;
    transform = NOTHING;
    flush = NOTHING;
    cancel = NOTHING;
    onFailed = null;
    constructor(writableHighWaterMark, writableSize, readableHighWaterMark, readableSize, started) {
      this.writableObject = nexus.writables.make(
        (chunk) => this.sinkWrite(chunk),
        () => this.sinkClose(),
        (reason) => this.sinkAbort(reason),
        writableHighWaterMark, writableSize, started,
      );
      this.readableObject = makeStream(
        () => this.sourcePull(),
        (reason) => this.sourceCancel(reason),
        readableHighWaterMark, readableSize, started,
      );
      this.writable = nexus.writables.recordOf(this.writableObject);
      this.readable = streamOf(this.readableObject);
    }

    // --- the controller ---

    enqueue(chunk) {
      const { controller } = this.readable;
      if (!canCloseOrEnqueue(controller)) {
        throw new TypeError("The TransformStream's readable side takes no more chunks");
      }
      try {
        enqueue(controller, chunk);
      } catch (error) {
        this.errorWritable(error);
        throw this.readable.error;
      }
      if (!shouldPull(controller) && !this.backpressure) this.setBackpressure(true);
    }
    error(reason) {
      controllerError(this.readable.controller, reason);
      this.errorWritable(reason);
    }
    terminate() {
      closeController(this.readable.controller);
      this.errorWritable(new TypeError("The TransformStream was terminated"));
    }

    // --- workings ---

    errorWritable(reason) {
      this.clear();
      sinkErrorIfNeeded(this.writable.controller, reason);
      if (this.backpressure) this.setBackpressure(false);
    }
    clear() {
      this.transform = this.flush = this.cancel = NOTHING;
    }
    setBackpressure(backpressure) {
      const { change } = this;
      this.change = null;
      this.backpressure = backpressure;
      change?.resolve();
    }
    changed() {
      return (this.change ??= capability()).promise;
    }
    perform(chunk) {
      const result = promiseCall(this.transform, chunk, this.object);
      return then(result, undefined, (this.onFailed ??= (error) => {
        this.error(error);
        throw error;
      }));
    }
    sinkWrite(chunk) {
      if (!this.backpressure) return this.perform(chunk);
      return then(this.changed(), () => {
        if (this.writable.state === "erroring") throw this.writable.error;
        return this.perform(chunk);
      });
    }
    sinkAbort(reason) {
      if (this.finishing !== null) return this.finishing.promise;
      const finishing = (this.finishing = capability());
      const canceled = promiseCall(this.cancel, reason);
      this.clear();
      const { readable } = this;
      then(
        canceled,
        () => {
          if (readable.state === "errored") {
            finishing.reject(readable.error);
          } else {
            controllerError(readable.controller, reason);
            finishing.resolve();
          }
        },
        (error) => {
          controllerError(readable.controller, error);
          finishing.reject(error);
        },
      );
      return finishing.promise;
    }
    sinkClose() {
      if (this.finishing !== null) return this.finishing.promise;
      const finishing = (this.finishing = capability());
      const flushed = promiseCall(this.flush, this.object);
      this.clear();
      const { readable } = this;
      then(
        flushed,
        () => {
          if (readable.state === "errored") {
            finishing.reject(readable.error);
          } else {
            closeController(readable.controller);
            finishing.resolve();
          }
        },
        (error) => {
          controllerError(readable.controller, error);
          finishing.reject(error);
        },
      );
      return finishing.promise;
    }
    sourcePull() {
      this.setBackpressure(false);
      return this.changed();
    }
    sourceCancel(reason) {
      if (this.finishing !== null) return this.finishing.promise;
      const finishing = (this.finishing = capability());
      const canceled = promiseCall(this.cancel, reason);
      this.clear();
      const { writable } = this;
      const end = (error) => {
        sinkErrorIfNeeded(writable.controller, error);
        if (this.backpressure) this.setBackpressure(false);
      };
      then(
        canceled,
        () => {
          if (writable.state === "errored") {
            finishing.reject(writable.error);
          } else {
            end(reason);
            finishing.resolve();
          }
        },
        (error) => {
          end(error);
          finishing.reject(error);
        },
      );
      return finishing.promise;
    }
  }

  internal(Transform);

  const method = (value, name) =>
    value === undefined ? undefined : callback(value, `TransformStream: the transformer's ${name}`);

  class TransformStream {
    #record;
    static {
      isTransform = (value) => typeof value === "object" && value !== null && #record in value;
      recordOf = (object) => object.#record;
    }
    constructor(transformer = undefined, writableStrategy = undefined, readableStrategy = undefined) {
      if (transformer === KEY) {
        this.#record = writableStrategy;
        return;
      }
      if (transformer !== undefined && !isObject(transformer)) {
        throw new TypeError("TransformStream: the transformer is not an object");
      }
      const forWritable = strategyOf(writableStrategy, "TransformStream: the writable strategy");
      const forReadable = strategyOf(readableStrategy, "TransformStream: the readable strategy");
      const given = dictionary(transformer);
      const cancel = method(given.cancel, "cancel");
      const flush = method(given.flush, "flush");
      const { readableType } = given;
      const begin = method(given.start, "start");
      const transform = method(given.transform, "transform");
      const { writableType } = given;
      if (readableType !== undefined) throw new RangeError("TransformStream: a transformer has no readableType");
      if (writableType !== undefined) throw new RangeError("TransformStream: a transformer has no writableType");
      const readableHighWaterMark = highWaterMarkOf(forReadable, 0);
      const readableSize = sizeOf(forReadable);
      const writableHighWaterMark = highWaterMarkOf(forWritable, 1);
      const started = capability();
      const record = (this.#record = new Transform(
        writableHighWaterMark, sizeOf(forWritable), readableHighWaterMark, readableSize, started.promise,
      ));
      record.object = newController(record);
      record.transform =
        transform === undefined
          ? (chunk) => record.enqueue(chunk)
          : (chunk, object) => promised(apply(transform, transformer, [chunk, object]));
      if (flush !== undefined) record.flush = algorithmOf(flush, transformer);
      if (cancel !== undefined) record.cancel = algorithmOf(cancel, transformer);
      started.resolve(begin === undefined ? undefined : apply(begin, transformer, [record.object]));
    }
    get readable() {
      return this.#record.readableObject;
    }
    get writable() {
      return this.#record.writableObject;
    }
  }

  class TransformStreamDefaultController {
    #record;
    static {
      newController = (record) => {
        const object = new TransformStreamDefaultController(KEY);
        object.#record = record;
        return object;
      };
    }
    constructor() {
      if (arguments[0] !== KEY) throw illegalConstructor();
    }
    get desiredSize() {
      return desiredSize(this.#record.readable.controller);
    }
    enqueue(chunk = undefined) {
      this.#record.enqueue(chunk);
    }
    error(reason = undefined) {
      this.#record.error(reason);
    }
    terminate() {
      this.#record.terminate();
    }
  }

  finishInterface(TransformStream);
  finishInterface(TransformStreamDefaultController);

  nexus.isTransformStream = isTransform;
  nexus.transforms = {
    recordOf,
    /** A TransformStream of two streams that exist already. */
    of: (readableObject, writableObject) => new TransformStream(KEY, { readableObject, writableObject }),
  };
  /**
   * Two streams with an internal transformer between them, as the standard's GenericTransformStream wants them:
   * `transform(chunk, controller)`, `flush(controller)` and `cancel(reason)` may give promises and may throw, and
   * `controller` has `enqueue(chunk)`, `error(reason)` and `terminate()`.
   */
  nexus.createTransformStream = ({
    start, transform, flush, cancel, writableHighWaterMark = 1, readableHighWaterMark = 0,
  }) => {
    const started = start === undefined ? undefined : capability();
    const record = new Transform(writableHighWaterMark, null, readableHighWaterMark, null, started?.promise);
    record.object = record;
    record.transform = transform ?? ((chunk) => record.enqueue(chunk));
    if (flush !== undefined) record.flush = flush;
    if (cancel !== undefined) record.cancel = cancel;
    if (started !== undefined) started.resolve(start(record));
    return { __proto__: null, readable: record.readableObject, writable: record.writableObject };
  };
})
