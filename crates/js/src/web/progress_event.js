// ProgressEvent. https://xhr.spec.whatwg.org/#interface-progressevent
(function (nexus) {
  "use strict";
  const { required, dictionary, finishInterface } = nexus.webidl;

  /** A double: any number but NaN and the infinite ones. */
  const double = (value, what) => {
    const number = +value;
    if (number - number !== 0) throw new TypeError(`${what} is not a finite number`);
    return number;
  };

  class ProgressEvent extends nexus.Event {
    #lengthComputable = false;
    #loaded = 0;
    #total = 0;
    constructor(type, eventInitDict = undefined) {
      required(arguments.length, 1, "ProgressEvent");
      super(type, eventInitDict);
      const init = dictionary(eventInitDict, "ProgressEvent");
      this.#lengthComputable = !!init.lengthComputable;
      const { loaded } = init;
      if (loaded !== undefined) this.#loaded = double(loaded, "ProgressEvent: loaded");
      const { total } = init;
      if (total !== undefined) this.#total = double(total, "ProgressEvent: total");
    }
    get lengthComputable() {
      return this.#lengthComputable;
    }
    get loaded() {
      return this.#loaded;
    }
    get total() {
      return this.#total;
    }
  }
  nexus.ProgressEvent = finishInterface(ProgressEvent);
})
