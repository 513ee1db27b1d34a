// Transfer of streams by structuredClone and message ports. https://streams.spec.whatwg.org/#transferrable-streams
//
// The original stays locked to a pipe, and what arrives is a new stream at the pipe's other end. Both sides are in one
// realm here, so the two ends of the channel between them know each other, and a message is a microtask; its value is
// a structured clone, as if it went through a message port.
(function (nexus) {
  "use strict";
  const { RESOLVED, internal, capability, handled, streamOf, makeStream, enqueue, closeController, controllerError } =
    nexus.streams;
  const { sinkErrorIfNeeded } = nexus.writableWorkings;
  const { then, rejected } = nexus.builtins;

  const CHUNK = 0;
  const CLOSE = 1;
  const ERROR = 2;
  const PULL = 3;
  const OPTIONS = {
    __proto__: null, preventAbort: false, preventCancel: false, preventClose: false, signal: undefined,
  };

  /** One end of a channel; `receive(type, value)` is its stream's. */
  class End {
    peer = null;
    open = true;
    receive = null;
    send(type, value) {
      const { peer } = this;
      const copy = nexus.structuredCloneInternal(value, []);
      if (!this.open || !peer.open) return;
      then(RESOLVED, () => {
        if (peer.open) peer.receive(type, copy);
      });
    }
    /** Sends; if the value cannot be cloned, the other side hears of that, and this throws. */
    sendOrFail(type, value) {
      try {
        this.send(type, value);
      } catch (error) {
        this.sendError(error);
        throw error;
      }
    }
    sendError(error) {
      try {
        this.send(ERROR, error);
      } catch {
        // An error that cannot be cloned either: the other side is left as it is, as the standard says.
      }
    }
    close() {
      this.open = false;
    }
  }
  internal(End);
  const channel = () => {
    const first = new End();
    const second = new End();
    first.peer = second;
    second.peer = first;
    return { first, second };
  };

  /** A WritableStream whose chunks go to the other end. */
  const writableTo = (end) => {
    // Settles when the other end wants a chunk; null if it wants one now.
    let wanted = capability();
    const object = nexus.writables.make(
      (chunk) =>
        then(wanted === null ? RESOLVED : wanted.promise, () => {
          wanted = capability();
          try {
            end.sendOrFail(CHUNK, chunk);
          } catch (error) {
            end.close();
            throw error;
          }
        }),
      () => {
        end.send(CLOSE, undefined);
        end.close();
      },
      (reason) => {
        try {
          end.sendOrFail(ERROR, reason);
        } finally {
          end.close();
        }
      },
      1, null, undefined,
    );
    const { controller } = nexus.writables.recordOf(object);
    end.receive = (type, value) => {
      if (type === ERROR) sinkErrorIfNeeded(controller, value);
      else if (type !== PULL) return;
      wanted?.resolve();
      wanted = null;
    };
    return object;
  };

  /** A ReadableStream of the chunks that come from the other end. */
  const readableFrom = (end) => {
    const object = makeStream(
      () => end.send(PULL, undefined),
      (reason) => {
        try {
          end.sendOrFail(ERROR, reason);
        } catch (error) {
          return rejected(error);
        } finally {
          end.close();
        }
        return undefined;
      },
      0, null, undefined,
    );
    const { controller } = streamOf(object);
    end.receive = (type, value) => {
      if (type === CHUNK) {
        enqueue(controller, value);
      } else if (type === CLOSE) {
        closeController(controller);
        end.close();
      } else if (type === ERROR) {
        controllerError(controller, value);
        end.close();
      }
    };
    return object;
  };

  const locked = () => new nexus.DOMException("A locked stream cannot be transferred", "DataCloneError");
  const isLocked = (object) =>
    nexus.isReadableStream(object)
      ? streamOf(object).reader !== null
      : nexus.writables.recordOf(object).writer !== null;

  /** Takes a stream away; the result is for `receiveReadable`. Throws DataCloneError if it is locked. */
  nexus.transferReadable = (object) => {
    if (isLocked(object)) throw locked();
    const { first, second } = channel();
    handled(nexus.pipe(streamOf(object), nexus.writables.recordOf(writableTo(first)), OPTIONS));
    return second;
  };
  nexus.receiveReadable = readableFrom;
  nexus.transferWritable = (object) => {
    if (isLocked(object)) throw locked();
    const { first, second } = channel();
    handled(nexus.pipe(streamOf(readableFrom(first)), nexus.writables.recordOf(object), OPTIONS));
    return second;
  };
  nexus.receiveWritable = writableTo;
  nexus.transferTransform = (object) => {
    const { readableObject, writableObject } = nexus.transforms.recordOf(object);
    if (isLocked(readableObject) || isLocked(writableObject)) throw locked();
    return {
      __proto__: null, readable: nexus.transferReadable(readableObject),
      writable: nexus.transferWritable(writableObject),
    };
  };
  nexus.receiveTransform = ({ readable, writable }) =>
    nexus.transforms.of(readableFrom(readable), writableTo(writable));
})
