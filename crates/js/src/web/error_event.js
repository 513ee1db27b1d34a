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
    constructor(type, eventInitDict = undefined) {
      required(arguments.length, 1, "ErrorEvent");
      super(type, eventInitDict);
      const { colno, error, filename, lineno, message } = dictionary(eventInitDict, "ErrorEvent");
      if (colno !== undefined) this.#colno = unsignedLong(colno, "ErrorEvent: colno");
      if (error !== undefined) this.#error = error;
      if (filename !== undefined) this.#filename = usvString(filename);
      if (lineno !== undefined) this.#lineno = unsignedLong(lineno, "ErrorEvent: lineno");
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
  finishInterface(ErrorEvent);
})
