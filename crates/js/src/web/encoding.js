// TextEncoder, TextDecoder, atob and btoa. https://encoding.spec.whatwg.org/
(function (nexus) {
  "use strict";
  const { ops } = nexus;
  const { required, domString, dictionary, bufferSource, finishInterface } = nexus.webidl;
  const { Bytes, viewTag } = nexus.builtins;
  const { charCodeAt } = nexus.builtins.string;

  /** Short ASCII texts are quicker here than through a buffer that is made natively. */
  const encode = (string) => {
    const { length } = string;
    if (length > 48) return ops.encodeUtf8(string);
    const bytes = new Bytes(length);
    for (let i = 0; i < length; i++) {
      const c = charCodeAt(string, i);
      if (c > 127) return ops.encodeUtf8(string);
      bytes[i] = c;
    }
    return bytes;
  };

  class TextEncoder {
    #brand;
    get encoding() {
      this.#brand;
      return "utf-8";
    }
    encode(input = "") {
      this.#brand;
      return encode(domString(input));
    }
    encodeInto(source, destination) {
      this.#brand;
      required(arguments.length, 2, "TextEncoder.encodeInto");
      source = domString(source);
      if (typeof destination !== "object" || destination === null || viewTag(destination) !== "Uint8Array") {
        throw new TypeError("TextEncoder.encodeInto: the destination is not a Uint8Array");
      }
      const counts = ops.encodeUtf8Into(source, destination);
      return { read: counts[0], written: counts[1] };
    }
  }
  finishInterface(TextEncoder);

  class TextDecoder {
    #encoding = "utf-8";
    #fatal;
    #ignoreBOM;
    // The decoder of an unfinished stream; 0 is none.
    #decoder = 0;
    constructor(label = "utf-8", options = undefined) {
      label = domString(label);
      const { fatal, ignoreBOM } = dictionary(options, "TextDecoder");
      this.#fatal = !!fatal;
      this.#ignoreBOM = !!ignoreBOM;
      if (label !== "utf-8") {
        const name = ops.encodingName(label);
        if (name === undefined) throw new RangeError(`TextDecoder: the encoding "${label}" is unknown`);
        this.#encoding = name;
      }
    }
    get encoding() {
      return this.#encoding;
    }
    get fatal() {
      return this.#fatal;
    }
    get ignoreBOM() {
      return this.#ignoreBOM;
    }
    decode(input = undefined, options = undefined) {
      const encoding = this.#encoding;
      // An ArrayBuffer or a view goes to the native side as it is, which looks at the type itself.
      if (input === undefined) input = EMPTY;
      const stream = options !== undefined && !!dictionary(options, "TextDecoder.decode").stream;
      const fatal = this.#fatal;
      let text;
      if (!stream && this.#decoder === 0 && encoding === "utf-8") {
        text = ops.decodeUtf8(input, fatal, this.#ignoreBOM);
      } else {
        bufferSource(input, "TextDecoder.decode");
        if (this.#decoder === 0) this.#decoder = ops.decoderOpen(this, encoding, this.#ignoreBOM);
        text = ops.decoderWrite(this.#decoder, input, fatal, !stream);
        if (!stream || text === undefined) this.#decoder = 0;
      }
      if (text === undefined) throw new TypeError(`TextDecoder.decode: the data is not valid ${encoding}`);
      return text;
    }
  }
  const EMPTY = new Bytes(0);
  finishInterface(TextDecoder);

  const invalid = (message) => new nexus.DOMException(message, "InvalidCharacterError");
  // Methods of an object, so that they are no constructors.
  const { atob, btoa } = {
    atob(data) {
      required(arguments.length, 1, "atob");
      const result = ops.atob(domString(data));
      if (result === undefined) throw invalid("atob: the string is not correctly encoded");
      return result;
    },
    btoa(data) {
      required(arguments.length, 1, "btoa");
      const result = ops.btoa(domString(data));
      if (result === undefined) throw invalid("btoa: the string has characters above U+00FF");
      return result;
    },
  };
  nexus.defineFunction("atob", atob);
  nexus.defineFunction("btoa", btoa);
})
