// PromiseRejectionEvent. https://html.spec.whatwg.org/multipage/webappapis.html#the-promiserejectionevent-interface
(function (nexus) {
  "use strict";
  const { required, dictionary, isObject, finishInterface } = nexus.webidl;

  class PromiseRejectionEvent extends nexus.Event {
    #promise;
    #reason;
    constructor(type, eventInitDict) {
      required(arguments.length, 2, "PromiseRejectionEvent");
      super(type, eventInitDict);
      const init = dictionary(eventInitDict, "PromiseRejectionEvent");
      const { promise } = init;
      if (!isObject(promise)) throw new TypeError("PromiseRejectionEvent: the promise is required, and an object");
      this.#promise = promise;
      this.#reason = init.reason;
    }
    get promise() {
      return this.#promise;
    }
    get reason() {
      return this.#reason;
    }
  }
  nexus.PromiseRejectionEvent = finishInterface(PromiseRejectionEvent);
})
