// Event, CustomEvent and EventTarget, without a tree; the global object is one, too.
// https://dom.spec.whatwg.org/#events
(function (nexus) {
  "use strict";
  const { ops } = nexus;
  const { required, domString, dictionary, finishInterface, constants, isObject, SafeMap } = nexus.webidl;
  const { defineProperty, getOwnPropertyDescriptor, apply } = nexus.builtins;

  const STOP = 1, STOP_NOW = 2, CANCELED = 4, PASSIVE = 8, DISPATCH = 16, BUBBLES = 32, CANCELABLE = 64;
  const COMPOSED = 128, INITIALIZED = 256;
  let typeOf, currentTargetOf, flagsOf, setFlags, begin, end, trust, initialize, TRUSTED;

  class Event {
    #type = "";
    #flags = INITIALIZED;
    #target = null;
    #currentTarget = null;
    #trusted = false;
    #time;
    static {
      typeOf = (event) => event.#type;
      currentTargetOf = (event) => event.#currentTarget;
      flagsOf = (event) => event.#flags;
      setFlags = (event, flags) => (event.#flags = flags);
      begin = (event, target) => {
        event.#target = event.#currentTarget = target;
        event.#flags |= DISPATCH;
      };
      end = (event) => {
        event.#currentTarget = null;
        event.#flags &= ~(DISPATCH | STOP | STOP_NOW);
      };
      trust = (event, trusted) => {
        event.#trusted = trusted;
        return event;
      };
      // [LegacyUnforgeable]: each event has the accessor itself.
      const { get } = getOwnPropertyDescriptor({ get isTrusted() { return this.#trusted; } }, "isTrusted");
      TRUSTED = { __proto__: null, get, enumerable: true, configurable: false };
      initialize = (event, type, bubbles, cancelable) => {
        if (event.#flags & DISPATCH) return false;
        const kept = event.#flags & COMPOSED;
        event.#flags = INITIALIZED | kept | (bubbles ? BUBBLES : 0) | (cancelable ? CANCELABLE : 0);
        event.#trusted = false;
        event.#target = null;
        event.#type = type;
        return true;
      };
    }
    constructor(type, eventInitDict = undefined) {
      required(arguments.length, 1, "Event");
      this.#type = domString(type);
      if (eventInitDict !== undefined && eventInitDict !== null) {
        const init = dictionary(eventInitDict, "Event");
        let flags = INITIALIZED;
        if (init.bubbles) flags |= BUBBLES;
        if (init.cancelable) flags |= CANCELABLE;
        if (init.composed) flags |= COMPOSED;
        this.#flags = flags;
      }
      this.#time = ops.performanceNow();
      defineProperty(this, "isTrusted", TRUSTED);
    }
    get type() {
      return this.#type;
    }
    get target() {
      return this.#target;
    }
    get srcElement() {
      return this.#target;
    }
    get currentTarget() {
      return this.#currentTarget;
    }
    composedPath() {
      return this.#currentTarget === null ? [] : [this.#currentTarget];
    }
    get eventPhase() {
      return this.#flags & DISPATCH ? 2 : 0;
    }
    stopPropagation() {
      this.#flags |= STOP;
    }
    get cancelBubble() {
      return (this.#flags & STOP) !== 0;
    }
    set cancelBubble(value) {
      const flags = this.#flags;
      if (value) this.#flags = flags | STOP;
    }
    stopImmediatePropagation() {
      this.#flags |= STOP | STOP_NOW;
    }
    get bubbles() {
      return (this.#flags & BUBBLES) !== 0;
    }
    get cancelable() {
      return (this.#flags & CANCELABLE) !== 0;
    }
    get returnValue() {
      return (this.#flags & CANCELED) === 0;
    }
    set returnValue(value) {
      const flags = this.#flags;
      if (!value && flags & CANCELABLE && !(flags & PASSIVE)) this.#flags = flags | CANCELED;
    }
    preventDefault() {
      const flags = this.#flags;
      if (flags & CANCELABLE && !(flags & PASSIVE)) this.#flags = flags | CANCELED;
    }
    get defaultPrevented() {
      return (this.#flags & CANCELED) !== 0;
    }
    get composed() {
      return (this.#flags & COMPOSED) !== 0;
    }
    get timeStamp() {
      return this.#time;
    }
    initEvent(type, bubbles = false, cancelable = false) {
      required(arguments.length, 1, "Event.initEvent");
      initialize(this, domString(type), bubbles, cancelable);
    }
  }
  constants(Event, { NONE: 0, CAPTURING_PHASE: 1, AT_TARGET: 2, BUBBLING_PHASE: 3 });
  finishInterface(Event);

  class CustomEvent extends Event {
    #detail = null;
    constructor(type, eventInitDict = undefined) {
      required(arguments.length, 1, "CustomEvent");
      super(type, eventInitDict);
      const detail = dictionary(eventInitDict, "CustomEvent").detail;
      if (detail !== undefined) this.#detail = detail;
    }
    get detail() {
      return this.#detail;
    }
    initCustomEvent(type, bubbles = false, cancelable = false, detail = null) {
      required(arguments.length, 1, "CustomEvent.initCustomEvent");
      const before = this.#detail;
      this.#detail = initialize(this, domString(type), bubbles, cancelable) ? detail : before;
    }
  }
  finishInterface(CustomEvent);

  const NO_OPTIONS = { capture: false, once: false, passive: false, signal: undefined };
  const CAPTURE = { capture: true, once: false, passive: false, signal: undefined };
  const flatten = (options, more) => {
    if (options === undefined || options === null) return NO_OPTIONS;
    if (!isObject(options)) return options ? CAPTURE : NO_OPTIONS;
    const capture = !!options.capture;
    if (!more) return capture ? CAPTURE : NO_OPTIONS;
    const once = !!options.once;
    const passive = !!options.passive;
    const signal = options.signal;
    if (signal !== undefined && !nexus.isAbortSignal(signal)) {
      throw new TypeError("EventTarget.addEventListener: the signal is not an AbortSignal");
    }
    return { capture, once, passive, signal };
  };
  // `forget` is called when it is removed.
  const newListener = (type, callback, { capture, once, passive }) => (
    { type, callback, capture, once, passive, removed: false, forget: null }
  );
  const callbackOrNull = (callback, what) => {
    if (callback === undefined || callback === null) return null;
    if (!isObject(callback)) throw new TypeError(`${what}: the listener is neither a function nor an object`);
    return callback;
  };

  let dispatch, hasListeners, watch, handlerGet, handlerSet;
  class EventTarget {
    // Listeners by type, made at the first one: most targets (a signal for each request) never get any.
    #listeners = null;
    #handlers = null;
    #watcher = null;
    static {
      hasListeners = (target, type) => (target.#listeners?.get(type)?.length ?? 0) > 0;
      // `watcher(target, type, count)` hears of each change of a type's listeners.
      watch = (target, watcher) => (target.#watcher = watcher);
      dispatch = (target, event) => {
        const self = target === GLOBAL ? globalThis : target;
        begin(event, self);
        const listeners = target.#listeners;
        if (listeners !== null) {
          // At the target, too, those that capture come first.
          target.#invoke(event, self, true);
          target.#invoke(event, self, false);
        }
        end(event);
        return !(flagsOf(event) & CANCELED);
      };
      handlerGet = (target, type) => target.#handlers?.get(type)?.value ?? null;
      handlerSet = (target, type, value) => {
        value = isObject(value) ? value : null;
        const handlers = (target.#handlers ??= new SafeMap());
        const handler = handlers.get(type);
        if (handler !== undefined) {
          handler.value = value;
          if (value === null) {
            handlers.delete(type);
            target.#remove(handler.listener);
          }
        } else if (value !== null) {
          const added = { value, listener: undefined };
          const run = target === GLOBAL && type === "error" ? runErrorHandler : runHandler;
          const callback = (event) => run(added.value, event);
          added.listener = newListener(type, callback, NO_OPTIONS);
          handlers.set(type, added);
          target.#add(added.listener);
        }
      };
    }
    #add(listener) {
      const listeners = (this.#listeners ??= new SafeMap());
      const list = listeners.get(listener.type);
      if (list === undefined) listeners.set(listener.type, [listener]);
      else list[list.length] = listener;
      this.#watcher?.(this, listener.type, list === undefined ? 1 : list.length);
    }
    #remove(listener) {
      listener.removed = true;
      listener.forget?.();
      const list = this.#listeners?.get(listener.type);
      if (list === undefined) return;
      for (let i = 0; i < list.length; i++) {
        if (list[i] !== listener) continue;
        for (; i + 1 < list.length; i++) list[i] = list[i + 1];
        list.length--;
        this.#watcher?.(this, listener.type, list.length);
        return;
      }
    }
    #find(type, callback, capture) {
      const list = this.#listeners?.get(type);
      for (let i = 0; list !== undefined && i < list.length; i++) {
        if (list[i].callback === callback && list[i].capture === capture) return list[i];
      }
      return undefined;
    }
    // The standard's "invoke", for the listeners that capture or those that do not.
    #invoke(event, self, capture) {
      const list = this.#listeners.get(typeOf(event));
      if (list === undefined || flagsOf(event) & STOP) return;
      const copy = [];
      for (let i = 0; i < list.length; i++) if (list[i].capture === capture) copy[copy.length] = list[i];
      for (let i = 0; i < copy.length && !(flagsOf(event) & STOP_NOW); i++) this.#call(copy[i], event, self);
    }
    #call(listener, event, self) {
      if (listener.removed) return;
      if (listener.once) this.#remove(listener);
      if (listener.passive) setFlags(event, flagsOf(event) | PASSIVE);
      const { callback } = listener;
      try {
        if (typeof callback === "function") {
          apply(callback, self, [event]);
        } else {
          const { handleEvent } = callback;
          if (typeof handleEvent !== "function") throw new TypeError("The listener's handleEvent is not a function");
          apply(handleEvent, callback, [event]);
        }
      } catch (error) {
        nexus.reportException(error);
      }
      setFlags(event, flagsOf(event) & ~PASSIVE);
    }

    addEventListener(type, callback, options = undefined) {
      const target = of(this);
      target.#listeners; // The brand check comes before all else, here and below.
      required(arguments.length, 2, "EventTarget.addEventListener");
      type = domString(type);
      callback = callbackOrNull(callback, "EventTarget.addEventListener");
      const given = flatten(options, true);
      const { capture, signal } = given;
      if (signal !== undefined && nexus.isAborted(signal)) return;
      if (callback === null || target.#find(type, callback, capture) !== undefined) return;
      const listener = newListener(type, callback, given);
      target.#add(listener);
      if (signal === undefined) return;
      const algorithm = () => target.#remove(listener);
      // A signal may live long: it does not keep what was removed in another way.
      listener.forget = () => nexus.removeAbortAlgorithm(signal, algorithm);
      nexus.addAbortAlgorithm(signal, algorithm);
    }
    removeEventListener(type, callback, options = undefined) {
      const target = of(this);
      target.#listeners;
      required(arguments.length, 2, "EventTarget.removeEventListener");
      type = domString(type);
      callback = callbackOrNull(callback, "EventTarget.removeEventListener");
      const listener = target.#find(type, callback, flatten(options, false).capture);
      if (listener !== undefined) target.#remove(listener);
    }
    dispatchEvent(event) {
      const target = of(this);
      target.#listeners;
      required(arguments.length, 1, "EventTarget.dispatchEvent");
      if (!isEvent(event)) throw new TypeError("EventTarget.dispatchEvent: not an Event");
      if (flagsOf(event) & DISPATCH) {
        throw new nexus.DOMException("The event is being dispatched already", "InvalidStateError");
      }
      return dispatch(target, trust(event, false));
    }
  }
  const isEvent = (value) => {
    try {
      flagsOf(value);
      return true;
    } catch {
      return false;
    }
  };
  finishInterface(EventTarget);

  // What holds the global object's listeners, for that has no private fields.
  const GLOBAL = new EventTarget();
  const of = (self) => (self === undefined || self === null || self === globalThis ? GLOBAL : self);
  nexus.joinEventTarget(EventTarget.prototype, ["addEventListener", "removeEventListener", "dispatchEvent"]);

  // https://html.spec.whatwg.org/multipage/webappapis.html#the-event-handler-processing-algorithm
  const runHandler = (handler, event) => {
    if (typeof handler === "function" && apply(handler, currentTargetOf(event), [event]) === false) cancel(event);
  };
  const runErrorHandler = (handler, event) => {
    const parts = nexus.errorEventParts?.(event);
    if (parts === undefined) runHandler(handler, event);
    else if (typeof handler === "function" && apply(handler, globalThis, parts) === true) cancel(event);
  };
  const cancel = (event) => {
    const flags = flagsOf(event);
    if (flags & CANCELABLE) setFlags(event, flags | CANCELED);
  };

  /** Dispatches as the user agent does (`isTrusted`); false if the event was canceled. */
  const fireEvent = (target, event) => dispatch(target, trust(event, true));
  nexus.Event = Event;
  /** What `initEvent` and its like do; false while the event is being dispatched. */
  nexus.initializeEvent = initialize;
  nexus.EventTarget = EventTarget;
  nexus.hasListeners = hasListeners;
  nexus.watchListeners = watch;
  nexus.fireEvent = fireEvent;
  /** Defines the event handler attribute `on…` on a prototype, whose objects `is` tells. */
  nexus.defineEventHandler = (prototype, type, is) => {
    const name = `on${type}`;
    const check = (self) => {
      if (!is(self)) throw new TypeError("Illegal invocation");
      return self;
    };
    const accessors = {
      get [name]() {
        return handlerGet(check(this), type);
      },
      set [name](value) {
        handlerSet(check(this), type, value);
      },
    };
    const { get, set } = getOwnPropertyDescriptor(accessors, name);
    defineProperty(prototype, name, { __proto__: null, get, set, enumerable: true, configurable: true });
  };
  nexus.globalHandler = (type) => handlerGet(GLOBAL, type);
  nexus.setGlobalHandler = (type, value) => handlerSet(GLOBAL, type, value);

  // What the guest can hear of on the global object. The host asks for rejections only while somebody listens.
  let heard = 0;
  watch(GLOBAL, (_, type) => {
    if (type !== "unhandledrejection" && type !== "rejectionhandled") return;
    const now = hasListeners(GLOBAL, "unhandledrejection") || hasListeners(GLOBAL, "rejectionhandled") ? 1 : 0;
    if (now !== heard) ops.hearRejections((heard = now) === 1);
  });

  // https://html.spec.whatwg.org/multipage/webappapis.html#report-an-exception
  const log = nexus.reportException;
  let reporting = false;
  nexus.reportException = (error) => {
    if (!reporting && hasListeners(GLOBAL, "error")) {
      reporting = true;
      try {
        const { 0: message, 1: filename, 2: lineno, 3: colno } = ops.exceptionPlace(error);
        const init = { __proto__: null, cancelable: true, message, filename, lineno, colno, error };
        if (!fireEvent(GLOBAL, new nexus.ErrorEvent("error", init))) return;
      } finally {
        reporting = false;
      }
    }
    log(error);
  };
  /** Whether the rejection is to be logged. */
  nexus.rejectionUnhandled = (promise, reason) => {
    if (!hasListeners(GLOBAL, "unhandledrejection")) return true;
    const init = { __proto__: null, cancelable: true, promise, reason };
    return fireEvent(GLOBAL, new nexus.PromiseRejectionEvent("unhandledrejection", init));
  };
  nexus.rejectionHandled = (promise, reason) => {
    if (!hasListeners(GLOBAL, "rejectionhandled")) return;
    fireEvent(GLOBAL, new nexus.PromiseRejectionEvent("rejectionhandled", { __proto__: null, promise, reason }));
  };
})
