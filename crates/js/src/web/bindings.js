// What `env` has for a binding, of whatever kind; and the bindings to other apps, whose interface is that of Workers' service
// bindings. https://developers.cloudflare.com/workers/runtime-apis/bindings/service-bindings/http/
(function (nexus) {
  "use strict";
  const { finishInterface, illegalConstructor } = nexus.webidl;
  const TOKEN = nexus.builtins.Symbol();

  class Fetcher {
    #id;

    constructor(token, id) {
      if (token !== TOKEN) throw illegalConstructor();
      this.#id = id;
    }

    /** Has the app answer a request. Of its URL the app gets all, and nothing of it says who answers. */
    fetch(input, init = undefined) {
      return nexus.fetchThrough(this.#id, arguments.length, input, init);
    }
  }
  finishInterface(Fetcher, { global: false });

  /** Runs the file of a kind, once. */
  const load = (file) => nexus.ops.loadLazy(file)(nexus);

  nexus.makeBinding = (kind, id) => {
    switch (kind) {
      case "kv":
        if (nexus.makeKvNamespace === undefined) load("kv.js");
        return nexus.makeKvNamespace(id);
      case "sql":
        if (nexus.makeDatabase === undefined) load("sql.js");
        return nexus.makeDatabase(id);
      default:
        return new Fetcher(TOKEN, id);
    }
  };
})
