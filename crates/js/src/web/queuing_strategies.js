// CountQueuingStrategy and ByteLengthQueuingStrategy. https://streams.spec.whatwg.org/#qs
(function (nexus) {
  "use strict";
  const { required, dictionary, finishInterface } = nexus.webidl;
  const init = (given, count, what) => {
    required(count, 1, what);
    const { highWaterMark } = dictionary(given, what);
    if (highWaterMark === undefined) throw new TypeError(`${what}: the highWaterMark is missing`);
    return +highWaterMark;
  };
  // One function each, the same for all strategies, as the standard asks.
  const { size: byteSize } = { size: (chunk) => chunk.byteLength };
  const { size: countSize } = { size: () => 1 };
  // Streams that are given it need not call it.
  nexus.countSize = countSize;

  class ByteLengthQueuingStrategy {
    #highWaterMark;
    constructor(init_) {
      this.#highWaterMark = init(init_, arguments.length, "ByteLengthQueuingStrategy");
    }
    get highWaterMark() {
      return this.#highWaterMark;
    }
    get size() {
      this.#highWaterMark;
      return byteSize;
    }
  }
  finishInterface(ByteLengthQueuingStrategy);

  class CountQueuingStrategy {
    #highWaterMark;
    constructor(init_) {
      this.#highWaterMark = init(init_, arguments.length, "CountQueuingStrategy");
    }
    get highWaterMark() {
      return this.#highWaterMark;
    }
    get size() {
      this.#highWaterMark;
      return countSize;
    }
  }
  finishInterface(CountQueuingStrategy);
})
