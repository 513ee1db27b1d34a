// FileReader. https://w3c.github.io/FileAPI/#APIASynch
//
// A blob's bytes are at hand, so reading it is a few tasks: one for each event, as a listener may wait for the next one.
(function (nexus) {
  "use strict";
  const { ops } = nexus;
  const { required, domString, isObject, finishInterface, constants } = nexus.webidl;
  const { typedBuffer } = nexus.builtins.clonable;
  const { ProgressEvent, EventTarget } = nexus;

  const EMPTY = 0, LOADING = 1, DONE = 2;
  // What the bytes become.
  const BUFFER = 1, BINARY_STRING = 2, TEXT = 3, DATA_URL = 4;

  /** "Decode": a byte order mark counts more than the encoding. */
  const decode = (bytes, encoding) => {
    const first = bytes[0];
    const second = bytes[1];
    if (first === 0xef && second === 0xbb && bytes[2] === 0xbf) encoding = ops.findEncoding("utf-8");
    else if (first === 0xfe && second === 0xff) encoding = ops.findEncoding("utf-16be");
    else if (first === 0xff && second === 0xfe) encoding = ops.findEncoding("utf-16le");
    return ops.decodeWhole(encoding, bytes, false, false);
  };

  /** "Package data". */
  const packageData = (bytes, type, as, label) => {
    if (as === BUFFER) return typedBuffer(bytes);
    if (as === BINARY_STRING) return ops.latin1Decode(bytes);
    if (as === DATA_URL) {
      return `data:${type === "" ? "application/octet-stream" : type};base64,${ops.btoa(ops.latin1Decode(bytes))}`;
    }
    let encoding = label === undefined ? undefined : ops.findEncoding(label);
    if (encoding === undefined) {
      const parsed = nexus.parseMimeType(type);
      const charset = parsed === null ? null : nexus.mimeParameter(parsed, "charset");
      if (charset !== null) encoding = ops.findEncoding(charset);
    }
    return decode(bytes, encoding ?? ops.findEncoding("utf-8"));
  };

  let isReader;
  class FileReader extends EventTarget {
    static {
      isReader = (value) => isObject(value) && #state in value;
    }
    #state = EMPTY;
    #result = null;
    #error = null;
    // Of the read that is under way; those before it are over.
    #turn = 0;

    #fire(type, loaded, total) {
      nexus.fireEvent(this, new ProgressEvent(type, { __proto__: null, lengthComputable: total > 0, loaded, total }));
    }
    // Runs the steps as tasks, one after the other, unless something else has been begun meanwhile.
    #run(turn, steps, index) {
      if (index === steps.length) return;
      nexus.setTimeoutInternal(() => {
        if (turn !== this.#turn) return;
        // The last one is not waited for by anything.
        this.#run(turn, steps, index + 1);
        steps[index]();
      }, 0);
    }
    #read(count, blob, as, label, what) {
      required(count, 1, what);
      if (!nexus.isBlob(blob)) throw new TypeError(`${what}: not a Blob`);
      if (label !== undefined) label = domString(label);
      if (this.#state === LOADING) {
        throw new nexus.DOMException(`${what}: something is being read already`, "InvalidStateError");
      }
      this.#state = LOADING;
      this.#result = this.#error = null;
      const turn = ++this.#turn;
      const size = nexus.blobSize(blob);
      const load = () => {
        this.#state = DONE;
        try {
          this.#result = packageData(nexus.joinParts(nexus.blobParts(blob)), nexus.blobType(blob), as, label);
        } catch (error) {
          this.#error = new nexus.DOMException(`${error}`, "NotReadableError");
          this.#fire("error", 0, 0);
          return;
        }
        this.#fire("load", size, size);
      };
      const steps = [() => this.#fire("loadstart", 0, size)];
      if (size > 0) steps[1] = () => this.#fire("progress", size, size);
      steps[steps.length] = load;
      steps[steps.length] = () => {
        if (this.#state !== LOADING) this.#fire("loadend", size, size);
      };
      this.#run(turn, steps, 0);
    }

    readAsArrayBuffer(blob) {
      this.#read(arguments.length, blob, BUFFER, undefined, "FileReader.readAsArrayBuffer");
    }
    readAsBinaryString(blob) {
      this.#read(arguments.length, blob, BINARY_STRING, undefined, "FileReader.readAsBinaryString");
    }
    readAsText(blob, encoding = undefined) {
      this.#read(arguments.length, blob, TEXT, encoding, "FileReader.readAsText");
    }
    readAsDataURL(blob) {
      this.#read(arguments.length, blob, DATA_URL, undefined, "FileReader.readAsDataURL");
    }
    abort() {
      if (this.#state !== LOADING) {
        this.#result = null;
        return;
      }
      this.#state = DONE;
      this.#result = null;
      this.#turn++;
      this.#fire("abort", 0, 0);
      if (this.#state !== LOADING) this.#fire("loadend", 0, 0);
    }
    get readyState() {
      return this.#state;
    }
    get result() {
      return this.#result;
    }
    get error() {
      return this.#error;
    }
  }
  const types = ["loadstart", "progress", "load", "abort", "error", "loadend"];
  for (let i = 0; i < types.length; i++) nexus.defineEventHandler(FileReader.prototype, types[i], isReader);
  constants(FileReader, { EMPTY, LOADING, DONE });
  finishInterface(FileReader);
})
