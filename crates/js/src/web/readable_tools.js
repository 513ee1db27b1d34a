// ReadableStream.from() and tee(). https://streams.spec.whatwg.org/#rs-abstract-ops
(function (nexus) {
  "use strict";
  const { isObject } = nexus.webidl;
  const {
    NOTHING, RESOLVED, internal, capability, handled, cancelStream, acquireReader, closedPromise, releaseReader, read,
    promiseOf, enqueue, closeController, streamOf, makeStream, makeByteStream,
  } = nexus.streams;
  const { apply, isView, iterator, asyncIterator, then, resolved, viewTag } = nexus.builtins;

  // --- from ---

  const notAnObject = () => new TypeError("ReadableStream.from: an iterator's result is not an object");
  const checkObject = (result) => {
    if (!isObject(result)) throw notAnObject();
  };
  const methodOf = (object, name) => {
    const method = object[name];
    if (method === undefined || method === null) return undefined;
    if (typeof method !== "function") {
      throw new TypeError("ReadableStream.from: an iterator's method is not a function");
    }
    return method;
  };

  const from = (iterable) => {
    if (iterable === undefined || iterable === null) throw new TypeError("ReadableStream.from: not iterable");
    let create = methodOf(iterable, asyncIterator);
    const async = create !== undefined;
    if (!async) create = methodOf(iterable, iterator);
    if (create === undefined) throw new TypeError("ReadableStream.from: not iterable");
    const source = apply(create, iterable, []);
    if (!isObject(source)) throw new TypeError("ReadableStream.from: the iterator is not an object");
    const { next } = source;
    let controller;
    const give = (result) => {
      checkObject(result);
      if (result.done) closeController(controller);
      else enqueue(controller, result.value);
    };
    /** A step of an iterator that is not asynchronous: what it gives may be a promise, whose value counts. */
    const wait = (result, closing) => {
      checkObject(result);
      const done = !!result.done;
      const { value } = result;
      const wrap = (inner) => ({ __proto__: null, done, value: inner });
      try {
        if (done || closing) return then(resolved(value), wrap);
        return then(resolved(value), wrap, (error) => {
          closeIterator();
          throw error;
        });
      } catch (error) {
        if (!done && !closing) closeIterator();
        throw error;
      }
    };
    const closeIterator = () => {
      try {
        const method = methodOf(source, "return");
        if (method !== undefined) apply(method, source, []);
      } catch {
        // The error that led here is the one that counts.
      }
    };
    const pull = () => {
      const result = apply(next, source, []);
      if (!async) return then(promiseOf(wait(result, false)), give);
      checkObject(result);
      return then(promiseOf(result), give);
    };
    const cancel = (reason) => {
      const method = methodOf(source, "return");
      if (method === undefined) return async ? undefined : then(promiseOf(RESOLVED), NOTHING);
      const result = apply(method, source, [reason]);
      return async ? then(promiseOf(result), checkObject) : then(promiseOf(wait(result, true)), NOTHING);
    };
    const object = makeStream(pull, cancel, 0, null, undefined);
    controller = streamOf(object).controller;
    return object;
  };

  // --- tee ---

  /** The chunk that a clone's second branch gets. */
  const cloneChunk = (chunk) => {
    if (isView(chunk) && viewTag(chunk) === "Uint8Array") return cloneBytes(chunk);
    return nexus.structuredCloneInternal(chunk, []);
  };
  const cloneBytes = (chunk) => {
    const { buffer, offset, length } = nexus.byteWorkings.describe(chunk);
    return nexus.byteWorkings.copyBytes(buffer, offset, length);
  };

  /** What both kinds of tee have: the branches' states, and how their cancellations become one. */
  class Tee {
    reading = false;
    canceled = [false, false];
    reasons = [undefined, undefined];
    done = capability();
    controllers = [null, null];
    constructor(stream) {
      this.stream = stream;
      handled(this.done.promise);
    }
    cancel(i, reason) {
      this.canceled[i] = true;
      this.reasons[i] = reason;
      if (this.canceled[1 - i]) this.done.resolve(cancelStream(this.stream, this.reasons));
      return this.done.promise;
    }
    /** The chunks could not be copied: nothing is left to do but to give up. */
    fail(error) {
      this.controllers[0].error(error);
      this.controllers[1].error(error);
      this.done.resolve(cancelStream(this.stream, error));
    }
    settle() {
      if (!this.canceled[0] || !this.canceled[1]) this.done.resolve();
    }
    forwardErrors(reader, isCurrent) {
      then(closedPromise(reader), undefined, (error) => {
        if (!isCurrent(reader)) return;
        this.controllers[0].error(error);
        this.controllers[1].error(error);
        this.settle();
      });
    }
  }

  internal(Tee);

  const teeDefault = (stream, clone) => {
    const reader = acquireReader(stream);
    const tee = new Tee(stream);
    const { canceled, controllers } = tee;
    let again = false;
    let chunk;
    // A microtask after the chunk has come: the source's own reactions are first.
    const give = () => {
      again = false;
      const first = chunk;
      let second = chunk;
      chunk = undefined;
      if (clone && !canceled[1]) {
        try {
          second = cloneChunk(first);
        } catch (error) {
          tee.fail(error);
          return;
        }
      }
      if (!canceled[0]) enqueue(controllers[0], first);
      if (!canceled[1]) enqueue(controllers[1], second);
      tee.reading = false;
      if (again) pull();
    };
    const request = {
      chunk(value) {
        chunk = value;
        then(RESOLVED, give);
      },
      close() {
        tee.reading = false;
        for (let i = 0; i < 2; i++) if (!canceled[i]) closeController(controllers[i]);
        tee.settle();
      },
      error() {
        tee.reading = false;
      },
    };
    const pull = () => {
      if (tee.reading) {
        again = true;
        return;
      }
      tee.reading = true;
      read(reader, request);
    };
    const branch = (i) => {
      const object = makeStream(pull, (reason) => tee.cancel(i, reason), 1, null, undefined);
      controllers[i] = streamOf(object).controller;
      return object;
    };
    const branches = [branch(0), branch(1)];
    tee.forwardErrors(reader, () => true);
    return branches;
  };

  const teeBytes = (stream) => {
    const { enqueueBytes, closeBytes, respond, respondWithView, readInto } = nexus.byteWorkings;
    let reader = acquireReader(stream);
    const tee = new Tee(stream);
    const { canceled, controllers } = tee;
    const again = [false, false];
    const isCurrent = (one) => one === reader;
    /** Reads on as a default or as a BYOB reader. */
    const become = (byob) => {
      if (reader.byob === byob) return;
      releaseReader(reader);
      reader = acquireReader(stream, byob);
      tee.forwardErrors(reader, isCurrent);
    };
    /** Closes a branch; one that waits for the rest of an element gets an error by that. */
    const closeBranch = (i) => {
      if (canceled[i]) return;
      try {
        closeBytes(controllers[i]);
      } catch {
        // Its reader has the error.
      }
    };
    const readOn = () => {
      tee.reading = false;
      if (again[0]) pull(0);
      else if (again[1]) pull(1);
    };
    const byDefault = {
      chunk: (chunk) => {
        then(RESOLVED, () => {
          again[0] = again[1] = false;
          let second = chunk;
          if (!canceled[0] && !canceled[1]) {
            try {
              second = cloneBytes(chunk);
            } catch (error) {
              tee.fail(error);
              return;
            }
          }
          if (!canceled[0]) enqueueBytes(controllers[0], chunk);
          if (!canceled[1]) enqueueBytes(controllers[1], second);
          readOn();
        });
      },
      close: () => {
        tee.reading = false;
        for (let i = 0; i < 2; i++) closeBranch(i);
        for (let i = 0; i < 2; i++) if (controllers[i].pending.length > 0) respond(controllers[i], 0);
        tee.settle();
      },
      error: () => {
        tee.reading = false;
      },
    };
    const intoView = (mine) => ({
      chunk: (chunk) => {
        then(RESOLVED, () => {
          const other = 1 - mine;
          again[0] = again[1] = false;
          if (!canceled[other]) {
            let copy;
            try {
              copy = cloneBytes(chunk);
            } catch (error) {
              tee.fail(error);
              return;
            }
            if (!canceled[mine]) respondWithView(controllers[mine], chunk);
            enqueueBytes(controllers[other], copy);
          } else if (!canceled[mine]) {
            respondWithView(controllers[mine], chunk);
          }
          readOn();
        });
      },
      close: (chunk) => {
        const other = 1 - mine;
        tee.reading = false;
        closeBranch(mine);
        closeBranch(other);
        if (chunk !== undefined) {
          if (!canceled[mine] && controllers[mine].pending.length > 0) respondWithView(controllers[mine], chunk);
          if (!canceled[other] && controllers[other].pending.length > 0) respond(controllers[other], 0);
        }
        tee.settle();
      },
      error: () => {
        tee.reading = false;
      },
    });
    const pull = (i) => {
      if (tee.reading) {
        again[i] = true;
        return;
      }
      tee.reading = true;
      const { pending } = controllers[i];
      if (pending.length === 0) {
        become(false);
        read(reader, byDefault);
      } else {
        become(true);
        readInto(reader, pending.first.rest(), 1, intoView(i));
      }
    };
    const branch = (i) => {
      const object = makeByteStream(() => pull(i), (reason) => tee.cancel(i, reason));
      controllers[i] = streamOf(object).controller;
      return object;
    };
    const branches = [branch(0), branch(1)];
    tee.forwardErrors(reader, isCurrent);
    return branches;
  };

  nexus.readableTools = {
    from,
    /** Two streams of the same chunks; with `clone`, the second gets copies of them. */
    tee: (stream, clone) => (stream.controller.bytes ? teeBytes(stream) : teeDefault(stream, clone)),
  };
})
