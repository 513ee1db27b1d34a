// From the host to the app's handlers and back: what happens in a request's first turn, and how a response leaves.
(function (nexus) {
  "use strict";
  const { ops } = nexus;
  const { makeRequest, noteRequestUrl, isResponse, responseStatus, responseHeaders, responseBody, copyHeaders } = nexus;
  const { STRING, BYTES, INCOMING, PARTS, isUsed, isLocked, streamOf, untouched } = nexus.body;
  const { required, finishInterface, uncurryThis } = nexus.webidl;
  const resolve = Promise.resolve.bind(Promise);
  const then = uncurryThis(Promise.prototype.then);

  // The app: its default export, that one's `fetch` as `handle(app, …)`, its variables.
  let app;
  let handle;
  let env;
  // The same of the modules that `[[routes]]` lead to: `[app, handle]` each.
  let routed = [];
  // See sending.js.
  nexus.stopSending = () => {};

  // The numbers that `ops.fail` knows.
  const THREW = 0;
  const NOT_A_RESPONSE = 1;
  const ERROR_RESPONSE = 2;

  class ExecutionContext {
    #id;
    #client;
    #params;

    constructor(token, id, params) {
      if (token !== TOKEN) throw new TypeError("Illegal constructor");
      this.#id = id;
      this.#params = params;
    }

    /** Keeps the request's resources until the promise has settled, also after the response. */
    waitUntil(promise) {
      required(arguments.length, 1, "waitUntil");
      const id = this.#id;
      if (!ops.waitBegin(id)) throw new TypeError("waitUntil: the request is over");
      // Its own resolution comes first: a thenable may throw.
      then(resolve(promise), () => ops.waitEnd(id), (error) => {
        ops.logException(error, "waitUntil");
        ops.waitEnd(id);
      });
    }

    /** Who asks: `{ address, port }`, each null where it is not known. */
    get client() {
      return (this.#client ??= Object.freeze(ops.clientAddress(this.#id)));
    }

    /** The request's id, as it stands in the logs and in the response's `x-request-id`. */
    get requestId() {
      return ops.requestId(this.#id);
    }

    /** What the names in the path of the request's route stand for. */
    get params() {
      return this.#params ?? NONE;
    }
  }
  const TOKEN = Symbol();
  const NONE = Object.freeze({ __proto__: null });
  finishInterface(ExecutionContext, { global: false });

  // A module's default export, and that one's `fetch` as `handle(app, …)`. `module` and `whose` are for the errors.
  const handlerOf = (namespace, module, whose) => {
    const app = namespace.default;
    const handler = app?.fetch;
    if (typeof handler !== "function") {
      // What only triggers call has nothing to answer requests with.
      if (typeof app?.scheduled === "function") return [app, nexus.scheduled.notFound];
      const lack = app == null ? `${module} has no default export` : `the default export${whose} has no fetch handler`;
      throw new TypeError(`${lack}: \`export default { fetch(request, env, ctx) { … } }\``);
    }
    return [app, uncurryThis(handler)];
  };

  // `modules` are the files that routes lead to, each with its namespace after it; `bindings` what the manifest has: of each its
  // name and its kind. An app with triggers must have a handler for them.
  nexus.start = (namespace, pairs, modules, bindings, hasTriggers) => {
    [app, handle] = handlerOf(namespace, "the main module", "");
    if (hasTriggers) nexus.scheduled.handlerOf(app);
    for (let i = 0; i < modules.length; i += 2) {
      const module = `the module \`${modules[i]}\` of a route`;
      routed[i / 2] = handlerOf(modules[i + 1], module, ` of ${module}`);
    }
    env = {};
    for (let i = 0; i < pairs.length; i += 2) env[pairs[i]] = pairs[i + 1];
    // The host knows a binding by its place.
    for (let i = 0; i < bindings.length; i += 2) env[bindings[i]] = nexus.makeBinding(bindings[i + 1], i / 2);
  };

  // See warm.js.
  nexus.forgetApp = () => {
    app = handle = env = undefined;
    routed = [];
  };

  // Of a routed request `module` is its module's place among those of `start`.
  nexus.dispatch = (id, method, url, layout, module, params) => {
    noteRequestUrl(url, layout);
    let result;
    try {
      const request = makeRequest(id, method, url);
      const context = new ExecutionContext(TOKEN, id, params);
      result = module === undefined
        ? handle(app, request, env, context)
        : routed[module][1](routed[module][0], request, env, context);
      if (isResponse(result)) {
        respond(id, result);
        return;
      }
    } catch (error) {
      ops.fail(id, THREW, error);
      return;
    }
    settle(id, result);
  };

  /** What other handlers of the app are called with, in the name of this request. */
  nexus.calling = (id) => ({ app, env, context: new ExecutionContext(TOKEN, id, undefined) });

  const settle = async (id, result) => {
    try {
      respond(id, await result);
    } catch (error) {
      ops.fail(id, THREW, error);
    }
  };

  const respond = (id, response) => {
    if (!isResponse(response)) {
      ops.fail(id, NOT_A_RESPONSE, response);
      return;
    }
    const status = responseStatus(response);
    if (status === 0) {
      ops.fail(id, ERROR_RESPONSE, response);
      return;
    }
    const list = responseHeaders(response);
    const body = responseBody(response);
    if (body === null) {
      send(id, status, list, null);
      return;
    }
    if (isUsed(body) || isLocked(body)) throw new TypeError("the response's body was read already, or is locked");
    if (body.stream === null && (body.kind === STRING || body.kind === BYTES)) {
      body.used = true;
      send(id, status, list, body.source);
      return;
    }
    const source = body.stream === null && body.kind === INCOMING ? body.source : untouched(streamOf(body));
    if (source > 0 || (source < 0 && nexus.canForward(id, body, source, list))) {
      // A body that the host holds, sent on as it comes: it never enters JavaScript.
      body.used = true;
      if (body.stream !== null) nexus.disturb(body.stream);
      ops.respondWithBody(id, status, source, list);
      return;
    }
    const stream = streamOf(body);
    const reader = nexus.getReaderInternal(stream);
    const length = body.kind === PARTS ? nexus.partsSize(body.source) : true;
    if (send(id, status, list, length)) pump(id, reader);
    else nexus.sending.drop(reader, gone());
  };

  // Header lists that were sent of late; the host keeps them under the same numbers. Most apps send the same few over
  // and over, and comparing them here costs less than reading them there.
  const MAX_KEPT_FIELDS = 8;
  const MAX_KEPT_LENGTH = 1024;
  // None in the beginning: a list has an even length.
  const NOT_KEPT = [0];
  const kept = [NOT_KEPT, NOT_KEPT, NOT_KEPT, NOT_KEPT];
  let oldest = 0;
  // Falls with each list that was not among them. An app whose lists always differ is left alone, but for a try now
  // and then.
  let patience = 64;
  let rest = 0;

  /** Before the snapshot is made: what warm.js sends is kept by no host. */
  nexus.forgetHeaders = () => {
    for (let i = 0; i < kept.length; i++) kept[i] = NOT_KEPT;
    oldest = 0;
    patience = 64;
    rest = 0;
  };

  const same = (a, b) => {
    const { length } = a;
    if (length !== b.length) return false;
    for (let i = length - 1; i >= 0; i--) if (a[i] !== b[i]) return false;
    return true;
  };

  const send = (id, status, list, body) => {
    if (rest > 0) {
      rest--;
      return sendFields(id, status, list, body, -1);
    }
    for (let i = 0; i < kept.length; i++) {
      if (same(kept[i], list)) {
        if (patience < 64) patience++;
        return ops.respond(id, status, body, i);
      }
    }
    return sendNew(id, status, list, body);
  };

  const sendNew = (id, status, list, body) => {
    if (--patience === 0) {
      patience = 8;
      rest = 1000;
    }
    let length = 0;
    for (let i = 0; i < list.length; i++) length += list[i].length;
    if (length > MAX_KEPT_LENGTH || list.length > 2 * MAX_KEPT_FIELDS) return sendFields(id, status, list, body, -1);
    const number = oldest;
    // The host throws if it refuses a field.
    const wanted = sendFields(id, status, list, body, number);
    kept[number] = copyHeaders(list);
    oldest = (number + 1) % kept.length;
    return wanted;
  };

  // Few fields go as arguments: the host reads those much faster than an array's elements.
  const sendFields = (id, status, list, body, keepAs) => {
    switch (list.length) {
      case 2:
        return ops.respond(id, status, body, keepAs, list[0], list[1]);
      case 4:
        return ops.respond(id, status, body, keepAs, list[0], list[1], list[2], list[3]);
      case 6:
        return ops.respond(id, status, body, keepAs, list[0], list[1], list[2], list[3], list[4], list[5]);
      default:
        return ops.respond(id, status, body, keepAs, list);
    }
  };

  const gone = () => new nexus.DOMException("The client has gone", "AbortError");

  // Carries a stream's chunks to the host, no faster than the client takes them.
  const pump = (id, reader) =>
    nexus.sending.sendReply(id, reader, gone, (error) => {
      ops.logException(error, "response body");
      ops.replyFail(id);
    });

  // The client has gone, or the time was up.
  nexus.abortRequest = (id, signal, timedOut) => {
    if (signal !== undefined) {
      const late = () => new nexus.DOMException("The response did not come in time", "TimeoutError");
      nexus.signalAbort(signal, timedOut ? late() : gone());
    }
    nexus.stopSending(id);
  };

  nexus.reportException = (error) => {
    ops.logException(error, "");
  };

  nexus.afterEvaluation = async (evaluated, namespace) => {
    await evaluated;
    return namespace;
  };
})
