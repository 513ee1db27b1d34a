// navigator. https://html.spec.whatwg.org/multipage/system-state.html#the-navigator-object
(function (nexus) {
  "use strict";
  const { finishInterface, illegalConstructor } = nexus.webidl;
  const KEY = { __proto__: null };
  const userAgent = `Nexus/${nexus.ops.version()}`;
  class Navigator {
    #brand;
    constructor() {
      if (arguments[0] !== KEY) throw illegalConstructor();
    }
    get userAgent() {
      this.#brand;
      return userAgent;
    }
  }
  finishInterface(Navigator);
  nexus.navigator = new Navigator(KEY);
})
