// ErrorEvent. https://html.spec.whatwg.org/multipage/webappapis.html#errorevent
(function (nexus) {
  "use strict";
  const { required, domString, usvString, unsignedLong, dictionary, finishInterface } = nexus.webidl;

  class ErrorEvent extends nexus.Event {
    #message = "";
    #filename = "";
    #lineno = 0;
    #colno = 0;
    #error = undefined;
    static {
      /** The arguments of the global object's `onerror`; `undefined` of another event. */
      nexus.errorEventParts = (event) => {
        if (!(#message in event)) return undefined;
        return [event.#message, event.#filename, event.#lineno, event.#colno, event.#error];
      };
    }
    constructor(type, eventInitDict = undefined) {
      required(arguments.length, 1, "ErrorEvent");
      super(type, eventInitDict);
      const init = dictionary(eventInitDict, "ErrorEvent");
      const { colno } = init;
      if (colno !== undefined) this.#colno = unsignedLong(colno, "ErrorEvent: colno");
      this.#error = init.error;
      const { filename } = init;
      if (filename !== undefined) this.#filename = usvString(filename);
      const { lineno } = init;
      if (lineno !== undefined) this.#lineno = unsignedLong(lineno, "ErrorEvent: lineno");
      const { message } = init;
      if (message !== undefined) this.#message = domString(message);
    }
    get message() {
      return this.#message;
    }
    get filename() {
      return this.#filename;
    }
    get lineno() {
      return this.#lineno;
    }
    get colno() {
      return this.#colno;
    }
    get error() {
      return this.#error;
    }
  }
  nexus.ErrorEvent = finishInterface(ErrorEvent);
})
