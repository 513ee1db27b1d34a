// How a stream's chunks reach the host: those of a response that streams, and of a request that is sent with a stream.
(function (nexus) {
  "use strict";
  const { ops } = nexus;
  const { toChunk } = nexus.body;
  const { then } = nexus.builtins;

  // By the body's number, how to cancel its stream.
  const streaming = { __proto__: null };

  /** Cancels a stream; what becomes of that is nobody's concern. */
  const drop = (reader, reason) => {
    then(nexus.cancelReaderInternal(reader, reason), undefined, () => {});
  };

  /** Whoever wanted the body with this number is gone. */
  nexus.stopSending = (id) => {
    const stop = streaming[id];
    if (stop !== undefined) stop();
  };

  /**
   * Carries the chunks of a reader to the body with the number `id`, no faster than they are taken. `gone` makes the reason
   * for cancelling the stream if nobody takes them any more; `failed` is told what the stream fails with.
   */
  const send = async (id, reader, gone, failed) => {
    let over = false;
    streaming[id] = () => {
      over = true;
      drop(reader, gone());
    };
    try {
      for (;;) {
        const { done, value } = await nexus.readInternal(reader);
        if (over) return;
        if (done) {
          ops.replyEnd(id);
          return;
        }
        let state = ops.replyWrite(id, toChunk(value));
        // 0: there is room; 1: wait until there is; 2: nobody takes it.
        if (state === 1) state = await ops.replyRoom(id);
        if (over) return;
        if (state === 2) {
          drop(reader, gone());
          return;
        }
      }
    } catch (error) {
      if (!over) {
        failed(error);
        drop(reader, error);
      }
    } finally {
      delete streaming[id];
    }
  };

  nexus.sending = { __proto__: null, send, drop };
})
