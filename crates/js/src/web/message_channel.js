// MessageChannel, MessagePort and MessageEvent.
// https://html.spec.whatwg.org/multipage/web-messaging.html#message-channels
//
// A port is one end's, as long as it has not been transferred; the messages are the end's and move with it. Each
// message is a task of the request that has posted it, and goes with that, like a timer.
(function (nexus) {
  "use strict";
  const { ops } = nexus;
  const { required, domString, usvString, dictionary, sequence, isObject } = nexus.webidl;
  const { finishInterface, illegalConstructor } = nexus.webidl;
  const { defineProperty, getOwnPropertyDescriptor, apply, freeze, iterator } = nexus.builtins;
  const { EventTarget } = nexus;
  const KEY = { __proto__: null };
  const NO_PORTS = freeze([]);
  const fail = (message) => new nexus.DOMException(message, "DataCloneError");

  let makeMessageEvent;
  class MessageEvent extends nexus.Event {
    #data = null;
    #origin = "";
    #lastEventId = "";
    #source = null;
    #ports = NO_PORTS;
    static {
      /** An event of an EventSource. */
      nexus.makeServerEvent = (type, data, origin, lastEventId) => {
        const event = new MessageEvent(type);
        event.#data = data;
        event.#origin = origin;
        event.#lastEventId = lastEventId;
        return event;
      };
      makeMessageEvent = (data, ports) => {
        const event = new MessageEvent("message");
        event.#data = data;
        event.#ports = ports;
        return event;
      };
    }
    constructor(type, eventInitDict = undefined) {
      required(arguments.length, 1, "MessageEvent");
      super(type, eventInitDict);
      const init = dictionary(eventInitDict, "MessageEvent");
      const { data } = init;
      if (data !== undefined) this.#data = data;
      const { lastEventId } = init;
      if (lastEventId !== undefined) this.#lastEventId = domString(lastEventId);
      const { origin } = init;
      if (origin !== undefined) this.#origin = usvString(origin);
      const { ports } = init;
      if (ports !== undefined) this.#ports = freeze(sequence(ports, "MessageEvent: ports", port));
      const { source } = init;
      if (source !== undefined) this.#source = sourceOf(source);
    }
    get data() {
      return this.#data;
    }
    get origin() {
      return this.#origin;
    }
    get lastEventId() {
      return this.#lastEventId;
    }
    get source() {
      return this.#source;
    }
    get ports() {
      return this.#ports;
    }
    initMessageEvent(
      type, bubbles = false, cancelable = false, data = null, origin = "", lastEventId = "", source = null, ports = undefined,
    ) {
      this.#data;
      required(arguments.length, 1, "MessageEvent.initMessageEvent");
      type = domString(type);
      origin = usvString(origin);
      lastEventId = domString(lastEventId);
      source = sourceOf(source);
      ports = ports === undefined ? NO_PORTS : freeze(sequence(ports, "MessageEvent.initMessageEvent: ports", port));
      if (!nexus.initializeEvent(this, type, !!bubbles, !!cancelable)) return;
      this.#data = data;
      this.#origin = origin;
      this.#lastEventId = lastEventId;
      this.#source = source;
      this.#ports = ports;
    }
  }
  const port = (value) => {
    if (!isPort(value)) throw new TypeError("MessageEvent: an element of ports is not a MessagePort");
    return value;
  };
  const sourceOf = (value) => {
    if (value === undefined || value === null) return null;
    if (!isPort(value)) throw new TypeError("MessageEvent: the source is not a MessagePort");
    return value;
  };
  finishInterface(MessageEvent);

  // An end has `other`, the one that it is entangled with, and the messages that have come, in order from `head` on.
  const newEnd = () => ({ other: null, port: null, enabled: false, queue: [], head: 0 });
  const shift = (end) => {
    const entry = end.queue[end.head];
    end.queue[end.head++] = undefined;
    if (end.head === end.queue.length) {
      end.queue = [];
      end.head = 0;
    }
    return entry;
  };

  // A message's task. Which message of the end it delivers is the queue's matter, for that has the order.
  const startTask = (end, entry) => {
    const task = { id: 0, entry };
    entry.task = task;
    task.id = nexus.setTimeoutInternal(() => runTask(end, task), 0);
  };
  const runTask = (end, task) => {
    const mine = task.entry;
    mine.task = null;
    // It is on its way to another port: it waits there, in the order in which it came.
    if (!end.enabled) return;
    while (end.head < end.queue.length) {
      const entry = shift(end);
      if (entry !== mine) {
        const { task: its } = entry;
        // The request that has posted it is over.
        if (its === null || !ops.timerWaits(its.id)) continue;
        its.entry = mine;
        mine.task = its;
      }
      nexus.fireEvent(end.port, makeMessageEvent(entry.data, entry.ports));
      return;
    }
  };
  const enable = (end) => {
    if (end === null || end.enabled) return;
    end.enabled = true;
    for (let i = end.head; i < end.queue.length; i++) if (end.queue[i].task === null) startTask(end, end.queue[i]);
  };

  let endOf, isPort;
  class MessagePort extends EventTarget {
    #end;
    #detached = false;
    static {
      endOf = (port) => port.#end;
      isPort = (value) => isObject(value) && #end in value;
      nexus.isMessagePort = isPort;
      nexus.transferPort = (port) => {
        if (port.#detached) throw fail("a MessagePort is closed, or was transferred already");
        const end = port.#end;
        port.#end = null;
        port.#detached = true;
        end.port = null;
        end.enabled = false;
        return end;
      };
      nexus.receivePort = (end) => new MessagePort(KEY, end);
    }
    constructor() {
      if (arguments[0] !== KEY) throw illegalConstructor();
      super();
      this.#end = arguments[1];
      this.#end.port = this;
    }
    postMessage(message, options = undefined) {
      const end = this.#end;
      required(arguments.length, 1, "MessagePort.postMessage");
      const transfer = transferOf(options);
      const target = end === null ? null : end.other;
      let doomed = false;
      for (let i = 0; i < transfer.length; i++) {
        if (transfer[i] === this) throw fail("MessagePort.postMessage: a port cannot be transferred through itself");
        if (target !== null && transfer[i] === target.port) doomed = true;
      }
      const moved = [];
      const data = nexus.structuredCloneInternal(message, transfer, moved);
      if (target === null || doomed) return;
      let ports = NO_PORTS;
      for (let i = 0; i < moved.length; i++) {
        if (!isPort(moved[i])) continue;
        if (ports === NO_PORTS) ports = [];
        ports[ports.length] = moved[i];
      }
      const entry = { data, ports: freeze(ports), task: null };
      if (target.enabled) startTask(target, entry);
      target.queue[target.queue.length] = entry;
    }
    start() {
      enable(this.#end);
    }
    close() {
      const end = this.#end;
      this.#detached = true;
      if (end === null || end.other === null) return;
      const { other } = end;
      end.other = other.other = null;
      // After the messages that are on their way.
      nexus.setTimeoutInternal(() => {
        if (other.port !== null) nexus.fireEvent(other.port, new nexus.Event("close"));
      }, 0);
    }
  }
  const transferOf = (options) => {
    const what = "MessagePort.postMessage";
    if (options === undefined || options === null) return [];
    if (!isObject(options)) throw new TypeError(`${what}: the second argument is neither a list nor options`);
    const method = options[iterator];
    const found = { __proto__: null, [iterator]: () => apply(method, options, []) };
    const list = method === undefined || method === null ? options.transfer : found;
    if (list === undefined) return [];
    return sequence(list, `${what}: transfer`, (item) => {
      if (!isObject(item)) throw new TypeError(`${what}: an element of transfer is not an object`);
      return item;
    });
  };
  nexus.defineEventHandler(MessagePort.prototype, "message", isPort);
  nexus.defineEventHandler(MessagePort.prototype, "messageerror", isPort);
  nexus.defineEventHandler(MessagePort.prototype, "close", isPort);
  // Whoever sets onmessage wants the messages.
  const { get, set } = getOwnPropertyDescriptor(MessagePort.prototype, "onmessage");
  const accessors = {
    set onmessage(value) {
      apply(set, this, [value]);
      enable(endOf(this));
    },
  };
  const { set: setAndStart } = getOwnPropertyDescriptor(accessors, "onmessage");
  const onmessage = { __proto__: null, get, set: setAndStart, enumerable: true, configurable: true };
  defineProperty(MessagePort.prototype, "onmessage", onmessage);
  finishInterface(MessagePort);

  class MessageChannel {
    #port1;
    #port2;
    constructor() {
      const a = newEnd();
      const b = newEnd();
      a.other = b;
      b.other = a;
      this.#port1 = new MessagePort(KEY, a);
      this.#port2 = new MessagePort(KEY, b);
    }
    get port1() {
      return this.#port1;
    }
    get port2() {
      return this.#port2;
    }
  }
  finishInterface(MessageChannel);
})
