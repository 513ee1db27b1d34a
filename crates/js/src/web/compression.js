// CompressionStream and DecompressionStream. https://compression.spec.whatwg.org/
(function (nexus) {
  "use strict";
  const { ops } = nexus;
  const { required, domString, finishInterface } = nexus.webidl;
  const { Bytes, then } = nexus.builtins;

  // "CompressionFormat", in the order of the ops. zstd is not in the standard so far.
  const FORMATS = { __proto__: null, deflate: 0, "deflate-raw": 1, gzip: 2, brotli: 3, zstd: 4 };
  const EMPTY = new Bytes(0);
  // The output of so many calls, of up to 64 KB each, is gathered before any is enqueued. As the standard has it, that
  // is all of a chunk's output; beyond, which only decompressing comes to, it is handed on in parts, each when the one
  // before has been read.
  const BATCH = 64;

  /** The two streams. Each call of an op is a slice of work, between which a guest can be stopped. */
  const open = (what, format, decompress) => {
    format = domString(format);
    const kind = FORMATS[format];
    if (kind === undefined) throw new TypeError(`${what}: the format "${format}" is unknown`);
    // Holds the native codec, whose number it has; 0 is none so far.
    const holder = { __proto__: null, id: 0 };
    const close = () => {
      ops.codecClose(holder.id);
      holder.id = 0;
    };
    const fail = (error) => {
      close();
      throw error;
    };

    // V8's interpreter looks for interrupts when it enters a function, and in loops only once in a thousand times.
    const slice = (chunk, last) => ops.codecRun(holder.id, chunk, last);

    /** "Compress (decompress) and enqueue a chunk"; `last` flushes. Gives a promise if it waits for the reader. */
    const run = (chunk, last, controller) => {
      for (;;) {
        const pieces = { __proto__: null };
        let count = 0;
        let more;
        try {
          ops.checkBufferSource(chunk);
          if (holder.id === 0) holder.id = ops.codecOpen(holder, kind, decompress, chunk);
          do {
            more = slice(chunk, last);
            if (typeof more === "object" && more !== null) pieces[count++] = more;
          } while (more && (count < BATCH || !decompress));
          // What is enqueued may run code of the guest's, which may change the chunk.
          if (more) ops.codecKeep(holder.id, chunk);
        } catch (error) {
          fail(error);
        }
        for (let i = 0; i < count; i++) controller.enqueue(pieces[i]);
        if (more === null) fail(new TypeError(`${what}: there is data behind the end of the compressed data`));
        if (!more) break;
        chunk = EMPTY;
        if (controller.backpressure) {
          // It is cancelled if there is no codec any more.
          return then(controller.changed(), () => (holder.id === 0 ? undefined : run(EMPTY, last, controller)));
        }
        if (holder.id === 0) return;
      }
      if (last) close();
    };

    return nexus.createTransformStream({
      __proto__: null,
      transform: (chunk, controller) => run(chunk, false, controller),
      flush: (controller) => run(EMPTY, true, controller),
      cancel: close,
    });
  };

  class CompressionStream {
    #readable;
    #writable;
    constructor(format) {
      required(arguments.length, 1, "CompressionStream");
      const { readable, writable } = open("CompressionStream", format, false);
      this.#readable = readable;
      this.#writable = writable;
    }
    get readable() {
      return this.#readable;
    }
    get writable() {
      return this.#writable;
    }
  }
  finishInterface(CompressionStream);

  class DecompressionStream {
    #readable;
    #writable;
    constructor(format) {
      required(arguments.length, 1, "DecompressionStream");
      const { readable, writable } = open("DecompressionStream", format, true);
      this.#readable = readable;
      this.#writable = writable;
    }
    get readable() {
      return this.#readable;
    }
    get writable() {
      return this.#writable;
    }
  }
  finishInterface(DecompressionStream);
})
