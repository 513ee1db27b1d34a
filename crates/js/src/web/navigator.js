// navigator. https://html.spec.whatwg.org/multipage/system-state.html#the-navigator-object
(function (nexus) {
  "use strict";
  const { finishInterface, illegalConstructor } = nexus.webidl;
  const KEY = { __proto__: null };
  class Navigator {
    #brand;
    constructor() {
      if (arguments[0] !== KEY) throw illegalConstructor();
    }
    get userAgent() {
      this.#brand;
      return "Nexus";
    }
  }
  finishInterface(Navigator);
  nexus.define("navigator", new Navigator(KEY));
})
