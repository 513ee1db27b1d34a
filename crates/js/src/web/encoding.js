// TextEncoder, TextDecoder, atob and btoa. https://encoding.spec.whatwg.org/#api https://html.spec.whatwg.org/#atob
(function (nexus) {
  "use strict";
  const { ops } = nexus;
  const { required, domString, dictionary, finishInterface } = nexus.webidl;
  const { Bytes, viewTag, typedLength } = nexus.builtins;
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
      const { length } = source;
      if (length <= 32) {
        // As in `encode`. What is beyond the destination's end is not written.
        const room = typedLength(destination);
        for (let i = 0; ; i++) {
          if (i === length || i === room) return { read: i, written: i };
          const c = charCodeAt(source, i);
          if (c > 127) break;
          destination[i] = c;
        }
      }
      const counts = ops.encodeUtf8Into(source, destination);
      if (typeof counts !== "number") return { read: counts[0], written: counts[1] };
      const written = counts % 0x4000000;
      return { read: (counts - written) / 0x4000000, written };
    }
  }
  finishInterface(TextEncoder);

  /** "Get an encoding" for a decoder: the number that the ops have for it. */
  const findEncoding = (label, what) => {
    if (label === "utf-8") return 0;
    const encoding = ops.findEncoding(label);
    if (encoding === undefined) throw new RangeError(`${what}: the encoding "${label}" is unknown`);
    return encoding;
  };
  const encodingName = (encoding) => (encoding === 0 ? "utf-8" : ops.encodingName(encoding));
  const malformed = (encoding, what) => new TypeError(`${what}: the data is not valid ${encodingName(encoding)}`);

  class TextDecoder {
    // 0 is UTF-8.
    #encoding;
    #fatal;
    #ignoreBOM;
    // The decoder of an unfinished stream; 0 is none.
    #decoder = 0;
    constructor(label = "utf-8", options = undefined) {
      label = domString(label);
      const { fatal, ignoreBOM } = dictionary(options, "TextDecoder");
      this.#fatal = !!fatal;
      this.#ignoreBOM = !!ignoreBOM;
      this.#encoding = findEncoding(label, "TextDecoder");
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
    decode(input = EMPTY, options = undefined) {
      const encoding = this.#encoding;
      // An ArrayBuffer or a view goes to the native side as it is, which looks at the type itself. If there are
      // options, the input comes before them.
      let stream = false;
      if (options !== undefined) {
        ops.checkBufferSource(input);
        stream = !!dictionary(options, "TextDecoder.decode").stream;
      }
      let text;
      if (!stream && this.#decoder === 0) {
        text = ops.decodeWhole(encoding, input, this.#fatal, this.#ignoreBOM);
      } else {
        if (this.#decoder === 0) this.#decoder = ops.decoderOpen(this, encoding, this.#ignoreBOM);
        text = ops.decoderWrite(this.#decoder, input, this.#fatal, !stream);
        if (!stream) this.#decoder = 0;
      }
      if (text === undefined) throw malformed(encoding, "TextDecoder.decode");
      return text;
    }
  }
  const EMPTY = new Bytes(0);
  finishInterface(TextDecoder);
  nexus.encodings = { __proto__: null, encode, findEncoding, encodingName, malformed };

  const invalid = (message) => new nexus.DOMException(message, "InvalidCharacterError");
  // Methods of an object, so that they are no constructors.
  const { atob, btoa } = {
    atob(data) {
      nexus.checkGlobal(this);
      required(arguments.length, 1, "atob");
      const result = ops.atob(domString(data));
      if (result === undefined) throw invalid("atob: the string is not correctly encoded");
      return result;
    },
    btoa(data) {
      nexus.checkGlobal(this);
      required(arguments.length, 1, "btoa");
      const result = ops.btoa(domString(data));
      if (result === undefined) throw invalid("btoa: the string has characters above U+00FF");
      return result;
    },
  };
  nexus.defineFunction("atob", atob);
  nexus.defineFunction("btoa", btoa);
})
