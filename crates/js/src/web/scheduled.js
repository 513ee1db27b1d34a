// The times of an app's triggers. The interface is that of Workers' scheduled handler.
// https://developers.cloudflare.com/workers/runtime-apis/handlers/scheduled/
(function (nexus) {
  "use strict";
  const { ops } = nexus;
  const { finishInterface, illegalConstructor } = nexus.webidl;
  const { apply } = nexus.builtins;
  const TOKEN = nexus.builtins.Symbol();
  // The number that `ops.fail` knows.
  const THREW = 0;

  class ScheduledController {
    #cron;
    #time;

    constructor(token, cron, time) {
      if (token !== TOKEN) throw illegalConstructor();
      this.#cron = cron;
      this.#time = time;
    }

    /** The trigger, as the manifest has it. */
    get cron() {
      return this.#cron;
    }

    /** The time that it was due at, in milliseconds since 1970. */
    get scheduledTime() {
      return this.#time;
    }

    /** Of another kind there is none. */
    get type() {
      return "scheduled";
    }

    /** Runs that fail are never repeated here. */
    noRetry() {}
  }
  finishInterface(ScheduledController, { global: false });

  /** An app's handler of triggers. */
  const handlerOf = (app) => {
    const { scheduled } = app;
    if (typeof scheduled === "function") return scheduled;
    throw new TypeError("the default export has no scheduled handler: `export default { scheduled(controller, env, ctx) { … } }`");
  };

  // The response, which has nothing in it, says that the work is done.
  const dispatch = async (id, cron, time) => {
    try {
      const { app, env, context } = nexus.calling(id);
      await apply(handlerOf(app), app, [new ScheduledController(TOKEN, cron, time), env, context]);
      ops.respond(id, 204, null, -1, []);
    } catch (error) {
      ops.fail(id, THREW, error);
    }
  };

  const notFound = () => new nexus.Response("Not Found", { status: 404 });

  nexus.scheduled = { __proto__: null, handlerOf, notFound };
  nexus.dispatchScheduled = dispatch;
})
