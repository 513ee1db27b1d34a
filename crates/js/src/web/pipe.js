// pipeTo() and pipeThrough(). https://streams.spec.whatwg.org/#readable-stream-pipe-to
//
// A pipe reads and writes through requests of its own, so a chunk that is there already costs no promise here. What
// comes later comes in the middle of the source's `enqueue`, and is written in a microtask: the sink must not run
// within the source.
(function (nexus) {
  "use strict";
  const {
    RESOLVED, internal, capability, acquireReader, closedPromise: readerClosed, releaseReader, read, cancelStream,
  } = nexus.streams;
  const {
    isClosing, abortStream, closeStream, acquireWriter, closedPromise: writerClosed, releaseWriter, write,
  } = nexus.writableWorkings;
  const { then, resolved, rejected } = nexus.builtins;

  const EMPTY = { __proto__: null };

  class Pipe {
    shuttingDown = false;
    // The read request is the pipe itself: whether it waits, whether read() is on the stack, and what has come.
    reading = false;
    inRead = false;
    arrived = EMPTY;
    // Chunks that were read and are not written yet.
    unwritten = 0;
    // What is to happen once all of them are.
    whenWritten = null;
    abortAlgorithm = null;
    constructor(source, sink, { preventAbort, preventCancel, preventClose, signal }) {
      this.source = source;
      this.sink = sink;
      this.preventAbort = preventAbort;
      this.preventCancel = preventCancel;
      this.preventClose = preventClose;
      this.signal = signal;
      this.reader = acquireReader(source);
      this.writer = acquireWriter(sink);
      source.disturbed = true;
      this.result = capability();
      this.go = () => this.loop();
      this.late = () => {
        if (this.arrived !== EMPTY) this.writeArrived();
        this.loop();
      };
    }

    begin() {
      const { source, sink, signal } = this;
      if (signal !== undefined) {
        if (nexus.isAborted(signal)) {
          this.aborted();
          return;
        }
        this.abortAlgorithm = () => this.aborted();
        nexus.addAbortAlgorithm(signal, this.abortAlgorithm);
      }
      const sourceErrored = (error) => {
        if (this.preventAbort) this.shutDown(null, true, error);
        else this.shutDown(() => abortStream(sink, error), true, error);
      };
      const sinkErrored = (error) => {
        if (this.preventCancel) this.shutDown(null, true, error);
        else this.shutDown(() => cancelStream(source, error), true, error);
      };
      const sourceClosed = () => {
        if (this.preventClose) this.shutDown(null, false, undefined);
        else this.shutDown(() => closeWithErrors(sink), false, undefined);
      };
      if (source.state === "errored") sourceErrored(source.error);
      if (sink.state === "errored") sinkErrored(sink.error);
      if (source.state === "closed") sourceClosed();
      if (isClosing(sink) || sink.state === "closed") {
        sinkErrored(new TypeError("The destination was closed before all data could be piped to it"));
      }
      if (this.shuttingDown) return;
      then(readerClosed(this.reader), sourceClosed, sourceErrored);
      then(writerClosed(this.writer), undefined, sinkErrored);
      then(RESOLVED, this.go);
    }

    // --- reading and writing ---

    loop() {
      const { sink, reader, writer } = this;
      while (!this.shuttingDown && !this.reading) {
        if (sink.state !== "writable" || isClosing(sink)) return;
        if (sink.backpressure) {
          writer.waiting = this.go;
          return;
        }
        this.reading = this.inRead = true;
        read(reader, this);
        this.inRead = false;
        // It comes later, or never.
        if (this.arrived === EMPTY) return;
        this.writeArrived();
      }
    }
    writeArrived() {
      const chunk = this.arrived;
      this.arrived = EMPTY;
      this.reading = false;
      write(this.writer, chunk, this);
    }
    // As a read request:
    chunk(value) {
      this.arrived = value;
      this.unwritten++;
      if (!this.inRead) then(RESOLVED, this.late);
    }
    close() {}
    error() {}
    // As a write request:
    resolve() {
      if (--this.unwritten === 0 && this.whenWritten !== null) then(RESOLVED, this.whenWritten);
    }
    reject() {
      this.resolve();
    }

    // --- the end ---

    aborted() {
      const { source, sink, preventAbort, preventCancel } = this;
      const error = nexus.abortReason(this.signal);
      this.shutDown(
        () => {
          const aborting = !preventAbort && sink.state === "writable" ? abortStream(sink, error) : RESOLVED;
          const canceling = !preventCancel && source.state === "readable" ? cancelStream(source, error) : RESOLVED;
          return both(aborting, canceling);
        },
        true,
        error,
      );
    }

    /** Ends the pipe once all that was read is written, after `action` (null, or a function that gives a promise). */
    shutDown(action, failed, error) {
      if (this.shuttingDown) return;
      this.shuttingDown = true;
      const { sink } = this;
      const act = () => {
        if (this.unwritten > 0 && sink.state === "writable" && !isClosing(sink)) {
          this.whenWritten = act;
          return;
        }
        this.whenWritten = null;
        if (action === null) this.finish(failed, error);
        else then(action(), () => this.finish(failed, error), (reason) => this.finish(true, reason));
      };
      if (sink.state !== "writable" || isClosing(sink)) act();
      else if (this.unwritten === 0) then(RESOLVED, act);
      else this.whenWritten = act;
    }
    finish(failed, error) {
      if (this.arrived !== EMPTY) this.writeArrived();
      this.writer.waiting = null;
      releaseWriter(this.writer);
      releaseReader(this.reader);
      if (this.abortAlgorithm !== null) nexus.removeAbortAlgorithm(this.signal, this.abortAlgorithm);
      if (failed) this.result.reject(error);
      else this.result.resolve();
    }
  }

  internal(Pipe);

  const closeWithErrors = (sink) => {
    if (isClosing(sink) || sink.state === "closed") return resolved(undefined);
    return sink.state === "errored" ? rejected(sink.error) : closeStream(sink);
  };

  /** Settles when both have: rejected with the first rejection. */
  const both = (first, second) => {
    const { promise, resolve, reject } = capability();
    let left = 2;
    const one = () => {
      if (--left === 0) resolve();
    };
    then(first, one, reject);
    then(second, one, reject);
    return promise;
  };

  /** Pipes between two records of streams that are not locked; a promise. */
  nexus.pipe = (source, sink, options) => {
    const pipe = new Pipe(source, sink, options);
    pipe.begin();
    return pipe.result.promise;
  };
})
