// TextEncoderStream and TextDecoderStream. https://encoding.spec.whatwg.org/#interface-textdecoderstream
(function (nexus) {
  "use strict";
  const { ops } = nexus;
  const { domString, dictionary, finishInterface } = nexus.webidl;
  const { Bytes } = nexus.builtins;
  const { charCodeAt, slice } = nexus.builtins.string;
  const { encode, findEncoding, encodingName, malformed } = nexus.encodings;

  class TextEncoderStream {
    #readable;
    #writable;
    constructor() {
      // "Leading surrogate", which waits for the other half of its character; the empty string is none.
      let leading = "";
      const { readable, writable } = nexus.createTransformStream({
        __proto__: null,
        transform(chunk, controller) {
          let string = domString(chunk);
          if (string === "") return;
          if (leading !== "") {
            string = leading + string;
            leading = "";
          }
          const last = charCodeAt(string, string.length - 1);
          if (last >= 0xd800 && last <= 0xdbff) {
            leading = slice(string, -1);
            if (string.length === 1) return;
            string = slice(string, 0, -1);
          }
          controller.enqueue(encode(string));
        },
        flush(controller) {
          if (leading !== "") controller.enqueue(encode(leading));
        },
      });
      this.#readable = readable;
      this.#writable = writable;
    }
    get encoding() {
      this.#readable;
      return "utf-8";
    }
    get readable() {
      return this.#readable;
    }
    get writable() {
      return this.#writable;
    }
  }
  finishInterface(TextEncoderStream);

  class TextDecoderStream {
    #encoding;
    #fatal;
    #ignoreBOM;
    #readable;
    #writable;
    constructor(label = "utf-8", options = undefined) {
      label = domString(label);
      let { fatal, ignoreBOM } = dictionary(options, "TextDecoderStream");
      this.#fatal = fatal = !!fatal;
      this.#ignoreBOM = ignoreBOM = !!ignoreBOM;
      const encoding = (this.#encoding = findEncoding(label, "TextDecoderStream"));
      // Holds the native decoder, whose number it has; 0 is none so far.
      const holder = { __proto__: null, id: 0 };
      const close = () => {
        ops.decoderClose(holder.id);
        holder.id = 0;
      };
      const decode = (chunk, last, controller) => {
        if (holder.id === 0) {
          if (last) return;
          ops.checkBufferSource(chunk);
          holder.id = ops.decoderOpen(holder, encoding, ignoreBOM);
        }
        const text = ops.decoderWrite(holder.id, chunk, fatal, last);
        if (last) holder.id = 0;
        if (text === undefined) {
          close();
          throw malformed(encoding, "TextDecoderStream");
        }
        if (text !== "") controller.enqueue(text);
      };
      const { readable, writable } = nexus.createTransformStream({
        __proto__: null,
        transform: (chunk, controller) => decode(chunk, false, controller),
        flush: (controller) => decode(EMPTY, true, controller),
        cancel: close,
      });
      this.#readable = readable;
      this.#writable = writable;
    }
    get encoding() {
      return encodingName(this.#encoding);
    }
    get fatal() {
      return this.#fatal;
    }
    get ignoreBOM() {
      return this.#ignoreBOM;
    }
    get readable() {
      return this.#readable;
    }
    get writable() {
      return this.#writable;
    }
  }
  const EMPTY = new Bytes(0);
  finishInterface(TextDecoderStream);
})
