// What a fetched response's body is held by, and how it is read.
(function (nexus) {
  "use strict";
  const { ops } = nexus;
  const { headerFind } = nexus;
  const { streamOf, keepOf, byteStream, convert } = nexus.body;
  const { then, setPrototypeOf } = nexus.builtins;
  const { parse } = JSON;
  const { indexOf, slice } = nexus.builtins.string;

  /** An error as of `ops.fetchSend`: what failed is its cause. */
  const failure = (message, cause = undefined) =>
    new TypeError(`fetch: ${message}`, cause === undefined ? undefined : { __proto__: null, cause });

  const withoutFragment = (url) => {
    const hash = indexOf(url, "#");
    return hash < 0 ? url : slice(url, 0, hash);
  };

  /** What a response has that was fetched. An object literal without a prototype would be a slow one. */
  class More {
    constructor(statusText, url, redirected) {
      this.statusText = statusText;
      this.immutable = true;
      this.type = "basic";
      this.url = url;
      this.redirected = redirected;
    }
  }
  setPrototypeOf(More.prototype, null);

  /** One exchange, from the request on until its response's body is read. The host drops it with this object. */
  class Exchange {
    constructor(signal, through) {
      this.id = 0;
      // The binding of the app that is asked, or -1: then the URL says who is.
      this.through = through;
      // Whether the body is decoded on the way to JavaScript.
      this.encoded = false;
      this.aborted = false;
      this.reason = undefined;
      this.signal = signal;
      this.onAbort = null;
      this.reject = null;
      // Stops the sending of the request's body, while a stream's is under way.
      this.stop = null;
      // Of the stream over the body, if there is one: its controller, and a piece that nobody has asked for so far.
      this.controller = null;
      this.ahead = null;
    }
  }
  setPrototypeOf(Exchange.prototype, null);

  /** Nothing of it can be aborted any more. */
  const finish = (keep) => {
    keep.controller = null;
    if (keep.onAbort !== null) nexus.removeAbortAlgorithm(keep.signal, keep.onAbort);
    keep.onAbort = null;
  };

  const stopUpload = (keep) => {
    const { stop } = keep;
    keep.stop = null;
    if (stop !== null) stop();
  };

  /** Nothing more is wanted of it: what is left of it, in either direction, ends. */
  const end = (keep) => {
    finish(keep);
    ops.bodyCancel(keep.id);
    stopUpload(keep);
  };

  /** A fetched body goes somewhere else as it comes: from here on no signal ends it. */
  const forwarded = (body) => {
    const keep = keepOf(body);
    if (keep !== undefined) finish(keep);
  };

  // What of a response's fields would be wrong of a body that is encoded in a way that they do not say.
  const OF_ENCODINGS = ["content-encoding", "content-length", "content-range", "content-digest", "repr-digest", "digest"];
  /** Whether a fetched body may go to the client of the request `id` as it came, beside these fields. */
  nexus.canForward = (id, body, source, list) => {
    if (ops.isEncoded(source)) {
      for (let i = 0; i < OF_ENCODINGS.length; i++) if (headerFind(list, OF_ENCODINGS[i]) >= 0) return false;
      if (!ops.takesEncoding(id, source)) return false;
    }
    forwarded(body);
    return true;
  };

  const abort = (keep, reason) => {
    keep.aborted = true;
    keep.reason = reason;
    ops.fetchAbort(keep.id);
    stopUpload(keep);
    const { controller } = keep;
    finish(keep);
    if (controller !== null) controller.error(reason);
  };

  /** A piece of a fetched body, null at its end: a record, so that promises do not look for a `then`. */
  class Piece {
    constructor(chunk) {
      this.chunk = chunk;
    }
  }
  setPrototypeOf(Piece.prototype, null);

  /** The next piece of a fetched body. */
  const nextPiece = async (keep) => {
    for (;;) {
      if (keep.aborted) throw keep.reason;
      let chunk;
      try {
        chunk = await ops.bodyRead(keep.id);
      } catch (error) {
        end(keep);
        throw keep.aborted ? keep.reason : error;
      }
      // An encoded body has to be asked until it gives something.
      if (chunk !== true) return new Piece(chunk);
    }
  };

  /** Reads a piece ahead of who reads: so the end, or a failure, is known before somebody asks once more. */
  const readAhead = (keep, controller) => {
    const ahead = (keep.ahead = nextPiece(keep));
    const isUnasked = () => keep.ahead === ahead && !keep.aborted;
    then(
      ahead,
      ({ chunk }) => {
        if (!isUnasked() || chunk !== null) return;
        end(keep);
        controller.close();
      },
      (error) => {
        if (isUnasked()) controller.error(error);
      },
    );
  };

  /** The stream over a fetched response's body. */
  nexus.fetchedStream = (keep) =>
    byteStream(
      async (controller) => {
        const next = keep.ahead ?? nextPiece(keep);
        keep.ahead = null;
        const { chunk } = await next;
        // The stream has its error already.
        if (keep.aborted) return;
        if (chunk !== null) {
          controller.enqueue(chunk);
          readAhead(keep, controller);
          return;
        }
        end(keep);
        controller.close();
      },
      () => {
        keep.ahead = null;
        end(keep);
      },
      (controller) => {
        keep.controller = controller;
      },
    );

  /** Reads a fetched response's body to its end, as the methods of the Body mixin do. */
  nexus.consumeFetched = (body, how, list) => {
    const { keep } = body;
    if (keep.encoded || body.stream !== null) {
      const reading = nexus.readStream(streamOf(body));
      body.used = true;
      return then(reading, (read) => convert(read.bytes, how, list));
    }
    body.used = true;
    return consumeWhole(keep, how, list);
  };
  const consumeWhole = async (keep, how, list) => {
    const TEXT = 0, JSON_VALUE = 1;
    if (keep.aborted) throw keep.reason;
    let whole;
    try {
      whole = await ops.bodyReadAll(keep.id, how <= JSON_VALUE);
    } catch (error) {
      throw keep.aborted ? keep.reason : error;
    } finally {
      end(keep);
    }
    if (how === TEXT) return whole;
    return how === JSON_VALUE ? parse(whole) : convert(whole, how, list);
  };

  nexus.fetched = { __proto__: null, failure, withoutFragment, More, Exchange, finish, stopUpload, end, forwarded, abort };
})
