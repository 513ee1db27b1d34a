// How a stream's chunks reach the host: those of a response that streams, and of a request that is sent with a stream.
(function (nexus) {
  "use strict";
  const { ops } = nexus;
  const { toChunk } = nexus.body;
  const { then } = nexus.builtins;

  // By the number of a response's body, what stops its sending.
  const replies = { __proto__: null };

  /** Cancels a stream; what becomes of that is nobody's concern. */
  const drop = (reader, reason) => {
    then(nexus.cancelReaderInternal(reader, reason), undefined, () => {});
  };

  /** Whoever wanted the response with this number is gone. */
  nexus.stopSending = (id) => {
    const stop = replies[id];
    delete replies[id];
    if (stop !== undefined) stop();
  };

  /**
   * Carries the chunks of a reader to the body with the number `id`, no faster than they are taken. `gone` makes the reason
   * for cancelling the stream if nobody takes them any more; `failed` is told what the stream fails with. Returns what stops
   * it; `ended` is told when there is nothing left to stop.
   */
  const send = (id, reader, gone, failed, ended) => {
    let over = false;
    carry(id, reader, gone, failed, () => over, ended);
    return () => {
      if (over) return;
      over = true;
      drop(reader, gone());
    };
  };

  const carry = async (id, reader, gone, failed, isOver, ended) => {
    try {
      for (;;) {
        const { done, value } = await nexus.readInternal(reader);
        if (isOver()) return;
        if (done) {
          ops.replyEnd(id);
          return;
        }
        let state = ops.replyWrite(id, toChunk(value));
        // 0: there is room; 1: wait until there is; 2: nobody takes it.
        if (state === 1) state = await ops.replyRoom(id);
        if (isOver()) return;
        if (state === 2) {
          drop(reader, gone());
          return;
        }
      }
    } catch (error) {
      if (!isOver()) {
        failed(error);
        drop(reader, error);
      }
    } finally {
      if (!isOver()) ended();
    }
  };

  /** The same for a response, which `nexus.stopSending` stops. */
  const sendReply = (id, reader, gone, failed) => {
    replies[id] = send(id, reader, gone, failed, () => {
      delete replies[id];
    });
  };

  nexus.sending = { __proto__: null, send, sendReply, drop };
})
