
// ---- Text and bytes

/**
 * Makes bytes of text, in UTF-8.
 * @standard https://encoding.spec.whatwg.org/#interface-textencoder
 */
interface TextEncoder extends TextEncoderCommon {
  encode(input?: string): Uint8Array<ArrayBuffer>;
  encodeInto(source: string, destination: Uint8Array): TextEncoderEncodeIntoResult;
}
declare var TextEncoder: {
  readonly prototype: TextEncoder;
  new (): TextEncoder;
};
interface TextEncoderCommon {
  readonly encoding: string;
}
interface TextEncoderEncodeIntoResult {
  read: number;
  written: number;
}
/**
 * Makes text of bytes, in any encoding of the standard.
 * @standard https://encoding.spec.whatwg.org/#interface-textdecoder
 * @differs In a stream, an error drops what follows it in its input, as the web platform tests ask for; the standard keeps that for the next input.
 */
interface TextDecoder extends TextDecoderCommon {
  decode(input?: BufferSource, options?: TextDecodeOptions): string;
}
declare var TextDecoder: {
  readonly prototype: TextDecoder;
  new (label?: string, options?: TextDecoderOptions): TextDecoder;
};
interface TextDecoderCommon {
  readonly encoding: string;
  readonly fatal: boolean;
  readonly ignoreBOM: boolean;
}
interface TextDecoderOptions {
  fatal?: boolean;
  ignoreBOM?: boolean;
}
interface TextDecodeOptions {
  stream?: boolean;
}
/**
 * `TextEncoder` as a stream.
 * @standard https://encoding.spec.whatwg.org/#interface-textencoderstream
 */
interface TextEncoderStream extends TextEncoderCommon {
  readonly readable: ReadableStream<Uint8Array<ArrayBuffer>>;
  readonly writable: WritableStream<string>;
}
declare var TextEncoderStream: {
  readonly prototype: TextEncoderStream;
  new (): TextEncoderStream;
};
/**
 * `TextDecoder` as a stream.
 * @standard https://encoding.spec.whatwg.org/#interface-textdecoderstream
 */
interface TextDecoderStream extends TextDecoderCommon {
  readonly readable: ReadableStream<string>;
  readonly writable: WritableStream<BufferSource>;
}
declare var TextDecoderStream: {
  readonly prototype: TextDecoderStream;
  new (label?: string, options?: TextDecoderOptions): TextDecoderStream;
};
type CompressionFormat = "deflate" | "deflate-raw" | "gzip" | "brotli" | "zstd";
/**
 * Compresses what passes.
 * @standard https://compression.spec.whatwg.org/#compression-stream
 * @differs `zstd` is of no standard, as on other servers.
 */
interface CompressionStream {
  readonly readable: ReadableStream<Uint8Array<ArrayBuffer>>;
  readonly writable: WritableStream<BufferSource>;
}
declare var CompressionStream: {
  readonly prototype: CompressionStream;
  new (format: CompressionFormat): CompressionStream;
};
/**
 * Expands what passes.
 * @standard https://compression.spec.whatwg.org/#decompression-stream
 * @differs As `CompressionStream`.
 */
interface DecompressionStream {
  readonly readable: ReadableStream<Uint8Array<ArrayBuffer>>;
  readonly writable: WritableStream<BufferSource>;
}
declare var DecompressionStream: {
  readonly prototype: DecompressionStream;
  new (format: CompressionFormat): DecompressionStream;
};
