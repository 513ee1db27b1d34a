// Event, CustomEvent and EventTarget, without a tree. https://dom.spec.whatwg.org/#events
(function (nexus) {
  "use strict";
  const { ops } = nexus;
  const { required, domString, dictionary, finishInterface, constants, isObject, SafeMap } = nexus.webidl;
  const { defineProperty, getOwnPropertyDescriptor, apply } = nexus.builtins;

  const STOP = 1, STOP_NOW = 2, CANCELED = 4, PASSIVE = 8, DISPATCH = 16, BUBBLES = 32, CANCELABLE = 64;
  const COMPOSED = 128, INITIALIZED = 256;
  let flagsOf, setFlags, begin, end, trust, initialize, TRUSTED;

  class Event {
    #type = "";
    #flags = INITIALIZED;
    #target = null;
    #currentTarget = null;
    #trusted = false;
    #time;
    static {
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
        event.#flags = INITIALIZED | (bubbles ? BUBBLES : 0) | (cancelable ? CANCELABLE : 0);
        event.#trusted = false;
        event.#target = null;
        event.#type = type;
        return true;
      };
    }
    constructor(type, eventInitDict = undefined) {
      required(arguments.length, 1, "Event");
      this.#type = domString(type);
      const init = dictionary(eventInitDict, "Event");
      if (init.bubbles) this.#flags |= BUBBLES;
      if (init.cancelable) this.#flags |= CANCELABLE;
      if (init.composed) this.#flags |= COMPOSED;
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
  const flatten = (options, more) => {
    if (options === undefined || options === null) return NO_OPTIONS;
    if (!isObject(options)) return { ...NO_OPTIONS, capture: !!options };
    const capture = !!options.capture;
    if (!more) return { ...NO_OPTIONS, capture };
    const once = !!options.once;
    const passive = !!options.passive;
    const signal = options.signal;
    if (signal !== undefined && !nexus.isAbortSignal(signal)) {
      throw new TypeError("EventTarget.addEventListener: the signal is not an AbortSignal");
    }
    return { capture, once, passive, signal };
  };
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
        begin(event, target);
        const list = target.#listeners?.get(event.type);
        if (list !== undefined) {
          const copy = [];
          for (let i = 0; i < list.length; i++) copy[i] = list[i];
          for (let i = 0; i < copy.length && !(flagsOf(event) & STOP_NOW); i++) target.#call(copy[i], event);
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
          const added = { value };
          const run = (event) => {
            if (typeof added.value === "function" && apply(added.value, target, [event]) === false) {
              event.preventDefault();
            }
          };
          added.listener = { type, callback: run, ...NO_OPTIONS, removed: false };
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
    #call(listener, event) {
      if (listener.removed) return;
      if (listener.once) this.#remove(listener);
      if (listener.passive) setFlags(event, flagsOf(event) | PASSIVE);
      const { callback } = listener;
      try {
        if (typeof callback === "function") {
          apply(callback, this, [event]);
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
      this.#listeners; // The brand check comes before all else, here and below.
      required(arguments.length, 2, "EventTarget.addEventListener");
      type = domString(type);
      callback = callbackOrNull(callback, "EventTarget.addEventListener");
      const { capture, once, passive, signal } = flatten(options, true);
      if (signal !== undefined && nexus.isAborted(signal)) return;
      if (callback === null || this.#find(type, callback, capture) !== undefined) return;
      const listener = { type, callback, capture, once, passive, removed: false };
      this.#add(listener);
      if (signal !== undefined) nexus.addAbortAlgorithm(signal, () => this.#remove(listener));
    }
    removeEventListener(type, callback, options = undefined) {
      this.#listeners;
      required(arguments.length, 2, "EventTarget.removeEventListener");
      type = domString(type);
      callback = callbackOrNull(callback, "EventTarget.removeEventListener");
      const listener = this.#find(type, callback, flatten(options, false).capture);
      if (listener !== undefined) this.#remove(listener);
    }
    dispatchEvent(event) {
      this.#listeners;
      required(arguments.length, 1, "EventTarget.dispatchEvent");
      if (!isEvent(event)) throw new TypeError("EventTarget.dispatchEvent: not an Event");
      if (flagsOf(event) & DISPATCH) {
        throw new nexus.DOMException("The event is being dispatched already", "InvalidStateError");
      }
      return dispatch(this, trust(event, false));
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

  nexus.Event = Event;
  nexus.EventTarget = EventTarget;
  nexus.hasListeners = hasListeners;
  nexus.watchListeners = watch;
  /** Dispatches as the user agent does (`isTrusted`); false if the event was canceled. */
  nexus.fireEvent = (target, event) => dispatch(target, trust(event, true));
  /** Defines the event handler attribute `on…` on a prototype. */
  nexus.defineEventHandler = (prototype, type) => {
    const name = `on${type}`;
    const accessors = {
      get [name]() {
        return handlerGet(this, type);
      },
      set [name](value) {
        handlerSet(this, type, value);
      },
    };
    defineProperty(prototype, name, { __proto__: null, ...getOwnPropertyDescriptor(accessors, name), enumerable: true });
  };
})
