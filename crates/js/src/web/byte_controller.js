// The workings of readable byte streams. https://streams.spec.whatwg.org/#rbs-controller-abstract-ops
//
// A ByteController's queue holds Uint8Arrays whose buffers are the stream's own. What BYOB readers (and automatic
// allocation) wait for are pull-into descriptors: `pending`. An internal source, such as a body's, gives Uint8Arrays
// and never sees a descriptor; its chunks go through to a default reader as they are.
(function (nexus) {
  "use strict";
  const { Fifo, internal, closeStream, errorStream, AnyController, canCloseOrEnqueue, callPull, noteAnswer } =
    nexus.streams;
  const { Bytes, transfer, detached, bufferLength, viewTag } = nexus.builtins;
  const {
    ArrayBuffer: Buffer, views, typedBuffer, typedOffset, typedBytes, dataBuffer, dataOffset, dataBytes, setBytes,
  } = nexus.builtins.clonable;

  // Who gets what is filled into a descriptor.
  const DEFAULT = 1;
  const BYOB = 2;
  const NONE = 0;

  /** Of a view: `{ View (its constructor), buffer, offset, length (in bytes), unit }`. */
  const describe = (view) => {
    const tag = viewTag(view);
    return tag === undefined
      ? { View: views.DataView, unit: 1, buffer: dataBuffer(view), offset: dataOffset(view), length: dataBytes(view) }
      : {
          View: views[tag], unit: views[tag].BYTES_PER_ELEMENT, buffer: typedBuffer(view), offset: typedOffset(view),
          length: typedBytes(view),
        };
  };

  /** A copy of a part of a buffer. */
  const copyBytes = (buffer, offset, length) => {
    const copy = new Bytes(length);
    setBytes(copy, new Bytes(buffer, offset, length), 0);
    return copy;
  };

  class Descriptor {
    filled = 0;
    constructor(buffer, offset, length, minimum, unit, View, who) {
      this.buffer = buffer;
      this.bufferLength = bufferLength(buffer);
      this.offset = offset;
      this.length = length;
      this.minimum = minimum;
      this.unit = unit;
      this.View = View;
      this.who = who;
    }
    /** The filled part as the reader's kind of view. No other view reaches the buffer: it was moved after each. */
    view() {
      return new this.View(this.buffer, this.offset, this.filled / this.unit);
    }
    /** The part that is still to be filled. */
    rest() {
      return new Bytes(this.buffer, this.offset + this.filled, this.length - this.filled);
    }
  }

  internal(Descriptor);

  /** The record of a ReadableByteStreamController. */
  class ByteController extends AnyController {
    // The BYOB request for the first of `pending`, if somebody asked for it: a record `{ controller, view, object }`.
    request = null;
    pending = new Fifo();
    constructor(stream, highWaterMark, pull, cancel, native, chunkSize) {
      super(stream, true, highWaterMark, pull, cancel, native);
      this.chunkSize = chunkSize;
    }
    cancelSteps(reason) {
      clearPending(this);
      return super.cancelSteps(reason);
    }
    pullSteps(request) {
      if (this.size > 0) {
        request.chunk(takeChunk(this));
        return;
      }
      if (this.chunkSize !== undefined) {
        let buffer;
        try {
          buffer = new Buffer(this.chunkSize);
        } catch (error) {
          request.error(error);
          return;
        }
        this.pending.push(new Descriptor(buffer, 0, this.chunkSize, 1, 1, Bytes, DEFAULT));
      }
      this.stream.reader.requests.push(request);
      callPull(this);
    }
    releaseSteps() {
      if (this.pending.length === 0) return;
      const { first } = this.pending;
      first.who = NONE;
      this.pending = new Fifo();
      this.pending.push(first);
    }
    enqueue(chunk) {
      enqueueBytes(this, chunk);
    }
    /** "Close" of a stream by its internal source: whoever waits with a view gets it back. */
    close() {
      closeBytes(this);
      if (this.stream.state === "closed" && this.pending.length > 0) respond(this, 0);
    }
    error(reason) {
      errorBytes(this, reason);
    }
  }

  const clearPending = (controller) => {
    invalidateRequest(controller);
    if (controller.pending.length > 0) controller.pending = new Fifo();
  };

  const invalidateRequest = (controller) => {
    const { request } = controller;
    if (request === null) return;
    request.controller = request.view = null;
    controller.request = null;
  };

  const errorBytes = (controller, error) => {
    if (controller.stream.state !== "readable") return;
    clearPending(controller);
    controller.queue = new Fifo();
    controller.size = 0;
    controller.clear();
    errorStream(controller.stream, error);
  };

  const closeBytes = (controller) => {
    if (!canCloseOrEnqueue(controller)) return;
    if (controller.size > 0) {
      controller.closeRequested = true;
      return;
    }
    if (controller.pending.length > 0 && controller.pending.first.filled % controller.pending.first.unit !== 0) {
      const error = new TypeError("The stream ends in the middle of an element of the reader's view");
      errorBytes(controller, error);
      throw error;
    }
    controller.clear();
    closeStream(controller.stream);
  };

  // --- the queue ---

  const pushBytes = (controller, bytes) => {
    controller.queue.push(bytes);
    controller.size += typedBytes(bytes);
  };

  const afterDrain = (controller) => {
    if (controller.size === 0 && controller.closeRequested) {
      controller.clear();
      closeStream(controller.stream);
    } else {
      callPull(controller);
    }
  };

  /** Takes the first chunk, with what follows from that. */
  const takeChunk = (controller) => {
    const chunk = controller.queue.shift();
    controller.size -= typedBytes(chunk);
    afterDrain(controller);
    return chunk;
  };

  /** Copies from the queue into a descriptor; whether it has what its reader waits for. */
  const fill = (controller, descriptor) => {
    const { unit, filled } = descriptor;
    const most = filled + (controller.size < descriptor.length - filled ? controller.size : descriptor.length - filled);
    const aligned = most - (most % unit);
    const ready = aligned >= descriptor.minimum;
    const end = ready ? aligned : most;
    const { queue } = controller;
    while (descriptor.filled < end) {
      const chunk = queue.first;
      const length = typedBytes(chunk);
      const wanted = end - descriptor.filled;
      const at = descriptor.offset + descriptor.filled;
      const target = new Bytes(descriptor.buffer, at, wanted < length ? wanted : length);
      if (length <= wanted) {
        setBytes(target, chunk, 0);
        queue.shift();
        controller.size -= length;
        descriptor.filled += length;
      } else {
        const buffer = typedBuffer(chunk);
        const offset = typedOffset(chunk);
        setBytes(target, new Bytes(buffer, offset, wanted), 0);
        queue.first = new Bytes(buffer, offset + wanted, length - wanted);
        controller.size -= wanted;
        descriptor.filled += wanted;
      }
    }
    return ready;
  };

  // --- descriptors ---

  /** Gives a descriptor's bytes to the reader that waits for them. */
  const commit = (stream, descriptor) => {
    const done = stream.state === "closed";
    const view = descriptor.view();
    const request = stream.reader.requests.shift();
    if (done) request.close(view);
    else request.chunk(view);
  };

  /** Fills as many descriptors as the queue suffices for, and gives them out only then. */
  const serveDescriptors = (controller, before = null) => {
    const filled = new Fifo();
    if (before !== null) filled.push(before);
    const { pending, stream } = controller;
    while (pending.length > 0 && controller.size > 0) {
      const descriptor = pending.first;
      if (!fill(controller, descriptor)) continue;
      pending.shift();
      filled.push(descriptor);
    }
    while (filled.length > 0) commit(stream, filled.shift());
  };

  /** What a reader that was released had got into its view goes into the queue. */
  const queueDetached = (controller, descriptor) => {
    if (descriptor.filled > 0) queueCopy(controller, descriptor.buffer, descriptor.offset, descriptor.filled);
    controller.pending.shift();
  };

  const queueCopy = (controller, buffer, offset, length) => {
    let copy;
    try {
      copy = copyBytes(buffer, offset, length);
    } catch (error) {
      errorBytes(controller, error);
      throw error;
    }
    pushBytes(controller, copy);
  };

  // --- from the source ---

  /** Enqueues a Uint8Array whose buffer is the stream's from now on. */
  const enqueueBytes = (controller, chunk) => {
    if (!canCloseOrEnqueue(controller)) return;
    noteAnswer(controller);
    const { pending, stream } = controller;
    if (pending.length > 0) {
      const { first } = pending;
      if (detached(first.buffer)) throw new TypeError("The BYOB request's buffer is detached");
      if (controller.request !== null) {
        invalidateRequest(controller);
        first.buffer = transfer(first.buffer);
      }
      if (first.who === NONE) queueDetached(controller, first);
    }
    const { reader } = stream;
    if (reader === null) {
      pushBytes(controller, chunk);
    } else if (reader.byob) {
      pushBytes(controller, chunk);
      serveDescriptors(controller);
    } else {
      while (reader.requests.length > 0 && controller.size > 0) reader.requests.shift().chunk(takeChunk(controller));
      if (reader.requests.length === 0) {
        pushBytes(controller, chunk);
      } else {
        if (pending.length > 0) pending.shift();
        reader.requests.shift().chunk(chunk);
      }
    }
    callPull(controller);
  };

  const respond = (controller, written) => {
    const { first } = controller.pending;
    if (controller.stream.state === "closed") {
      if (written !== 0) throw new TypeError("respond: the stream is closed, so 0 bytes is all there can be");
    } else {
      if (written === 0) throw new TypeError("respond: 0 bytes, but the stream is not closed");
      if (first.filled + written > first.length) throw new RangeError("respond: more bytes than the view has room for");
    }
    first.buffer = transfer(first.buffer);
    finishRespond(controller, written);
  };

  const respondWithView = (controller, view) => {
    const { first } = controller.pending;
    const { buffer, offset, length } = describe(view);
    if (controller.stream.state === "closed") {
      if (length !== 0) throw new TypeError("respondWithNewView: the stream is closed, and the view is not empty");
    } else if (length === 0) {
      throw new TypeError("respondWithNewView: the view is empty, but the stream is not closed");
    }
    if (first.offset + first.filled !== offset) {
      throw new RangeError("respondWithNewView: the view begins elsewhere than the request's");
    }
    if (first.bufferLength !== bufferLength(buffer)) {
      throw new RangeError("respondWithNewView: the view's buffer has another length than the request's");
    }
    if (first.filled + length > first.length) {
      throw new RangeError("respondWithNewView: the view is longer than the request's");
    }
    first.buffer = transfer(buffer);
    finishRespond(controller, length);
  };

  const finishRespond = (controller, written) => {
    const { pending, stream } = controller;
    const { first } = pending;
    invalidateRequest(controller);
    if (stream.state === "closed") {
      if (first.who === NONE) pending.shift();
      if (stream.reader !== null && stream.reader.byob) {
        const filled = new Fifo();
        while (filled.length < stream.reader.requests.length) filled.push(pending.shift());
        while (filled.length > 0) commit(stream, filled.shift());
      }
    } else {
      first.filled += written;
      if (first.who === NONE) {
        queueDetached(controller, first);
        serveDescriptors(controller);
      } else if (first.filled >= first.minimum) {
        pending.shift();
        const over = first.filled % first.unit;
        if (over > 0) {
          queueCopy(controller, first.buffer, first.offset + first.filled - over, over);
          first.filled -= over;
        }
        serveDescriptors(controller, first);
      }
    }
    callPull(controller);
  };

  // --- from BYOB readers ---

  /** Reads at least `min` elements into a view. */
  const readInto = (reader, view, min, request) => {
    const { stream } = reader;
    stream.disturbed = true;
    if (stream.state === "errored") {
      request.error(stream.error);
      return;
    }
    const { controller } = stream;
    const { View, unit, buffer, offset, length } = describe(view);
    let own;
    try {
      own = transfer(buffer);
    } catch (error) {
      request.error(error);
      return;
    }
    const descriptor = new Descriptor(own, offset, length, min * unit, unit, View, BYOB);
    if (controller.pending.length === 0) {
      if (stream.state === "closed") {
        request.close(new View(own, offset, 0));
        return;
      }
      if (controller.size > 0) {
        if (fill(controller, descriptor)) {
          const filled = descriptor.view();
          afterDrain(controller);
          request.chunk(filled);
          return;
        }
        if (controller.closeRequested) {
          const error = new TypeError("The stream ends before the view has what was asked for");
          errorBytes(controller, error);
          request.error(error);
          return;
        }
      }
    }
    const first = controller.pending.length === 0;
    controller.pending.push(descriptor);
    reader.requests.push(request);
    if (first) callPull(controller);
  };

  nexus.byteWorkings = {
    ByteController, describe, copyBytes, enqueueBytes, closeBytes, errorBytes, respond, respondWithView, readInto,
  };
})
