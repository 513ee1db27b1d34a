// structuredClone. https://html.spec.whatwg.org/multipage/structured-data.html#dom-structuredclone
(function (nexus) {
  "use strict";
  const { ops } = nexus;
  const { required, dictionary, sequence, isArrayBuffer } = nexus.webidl;
  const fail = (message) => new nexus.DOMException(message, "DataCloneError");

  const { structuredClone } = {
    structuredClone(value, options = undefined) {
      required(arguments.length, 1, "structuredClone");
      const { transfer } = dictionary(options, "structuredClone");
      const list = transfer === undefined ? [] : sequence(transfer, "structuredClone: transfer");
      for (let i = 0; i < list.length; i++) {
        if (!isArrayBuffer(list[i])) throw fail("structuredClone: only ArrayBuffers can be transferred");
        for (let j = 0; j < i; j++) {
          if (list[j] === list[i]) throw fail("structuredClone: an ArrayBuffer is transferred twice");
        }
      }
      // The clone in an array, or what is wrong.
      const result = ops.structuredClone(value, list);
      if (typeof result === "string") throw fail(result);
      return result[0];
    },
  };
  nexus.defineFunction("structuredClone", structuredClone);
})
