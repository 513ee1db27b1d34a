// EventSource. https://html.spec.whatwg.org/multipage/server-sent-events.html#the-eventsource-interface
//
// It belongs to the request that makes it, and ends with that, like everything that waits.
(function (nexus) {
  "use strict";
  const { ops } = nexus;
  const { required, usvString, dictionary, constants, finishInterface } = nexus.webidl;
  const { EventTarget, headerGet, resolveURL } = nexus;
  const { streamOf } = nexus.body;
  const { slice, indexOf, charCodeAt } = nexus.builtins.string;
  const { exec } = nexus.builtins.regexp;

  const CONNECTING = 0, OPEN = 1, CLOSED = 2;
  // Until the server says another one, in milliseconds.
  const RECONNECTION_TIME = 3000;
  const DIGITS = /^[0-9]+$/;
  const LF = 10, CR = 13;

  let isSource;
  class EventSource extends EventTarget {
    #url;
    #withCredentials;
    #readyState = CONNECTING;
    #lastEventId = "";
    #delay = RECONNECTION_TIME;
    #timer = 0;
    // Of the connection.
    #signal = null;
    #origin = "";
    // Of the event that is being read: what is to be dispatched with an empty line.
    #data = null;
    #type = "";
    #id = "";
    // The text of an unfinished line, and whether it follows a CR.
    #line = "";
    #afterReturn = false;

    static {
      isSource = (value) => typeof value === "object" && value !== null && #url in value;
    }

    constructor(url, eventSourceInitDict = undefined) {
      required(arguments.length, 1, "EventSource");
      url = usvString(url);
      const { withCredentials } = dictionary(eventSourceInitDict, "EventSource");
      super();
      this.#withCredentials = !!withCredentials;
      try {
        this.#url = resolveURL(url, "EventSource");
      } catch (error) {
        throw new nexus.DOMException(error.message, "SyntaxError");
      }
      this.#connect();
    }

    get url() {
      return this.#url;
    }
    get withCredentials() {
      return this.#withCredentials;
    }
    get readyState() {
      return this.#readyState;
    }

    close() {
      this.#readyState = CLOSED;
      nexus.clearTimeoutInternal(this.#timer);
      if (this.#signal !== null) nexus.signalAbort(this.#signal);
    }

    async #connect() {
      const headers = { __proto__: null, accept: "text/event-stream" };
      // As UTF-8, which a field's value is only as bytes.
      if (this.#lastEventId !== "") headers["last-event-id"] = ops.latin1Decode(ops.utf8Encode(this.#lastEventId));
      const signal = (this.#signal = nexus.newAbortSignal());
      let response;
      try {
        response = await nexus.fetchInternal(this.#url, { __proto__: null, headers, cache: "no-store", signal });
      } catch (error) {
        // What is not granted, or too much, is so the next time as well.
        const code = error?.cause?.code;
        if (code === "EPERM" || code === "ELIMIT" || code === "EINVAL") this.#fail(error);
        else this.#reconnect();
        return;
      }
      if (this.#readyState === CLOSED) return;
      const type = nexus.parseMimeType(headerGet(nexus.responseHeaders(response), "content-type") ?? "");
      const body = nexus.responseBody(response);
      if (nexus.responseStatus(response) !== 200 || type === null || type.essence !== "text/event-stream" || body === null) {
        nexus.signalAbort(signal);
        this.#fail();
        return;
      }
      const url = nexus.responseUrl(response);
      const end = indexOf(url, "/", 8);
      // Of a data: URL it is opaque.
      this.#origin = end < 0 ? "null" : slice(url, 0, end);
      this.#readyState = OPEN;
      nexus.fireEvent(this, new nexus.Event("open"));
      const reader = nexus.getReaderInternal(nexus.textStream(streamOf(body)));
      try {
        for (;;) {
          const { done, value } = await nexus.readInternal(reader);
          if (done || this.#readyState === CLOSED) break;
          this.#take(value);
        }
      } catch {
        // The connection is lost.
      }
      this.#reconnect();
    }

    #fail(error) {
      if (this.#readyState === CLOSED) return;
      this.#readyState = CLOSED;
      if (error !== undefined) ops.logException(error, "EventSource");
      nexus.fireEvent(this, new nexus.Event("error"));
    }

    #reconnect() {
      // An event without its empty line is none.
      this.#data = null;
      this.#type = this.#line = "";
      this.#id = this.#lastEventId;
      this.#afterReturn = false;
      if (this.#readyState === CLOSED) return;
      this.#readyState = CONNECTING;
      nexus.fireEvent(this, new nexus.Event("error"));
      if (this.#readyState === CLOSED) return;
      this.#timer = nexus.setTimeoutInternal(() => {
        if (this.#readyState === CONNECTING) this.#connect();
      }, this.#delay);
    }

    /** Interprets a piece of the stream, line by line. */
    #take(text) {
      let from = 0;
      for (let at = 0; at < text.length; at++) {
        const code = charCodeAt(text, at);
        if (code !== LF && code !== CR) {
          this.#afterReturn = false;
          continue;
        }
        // CR LF is one end of a line.
        if (code === LF && this.#afterReturn) {
          this.#afterReturn = false;
          from = at + 1;
          continue;
        }
        const line = this.#line + slice(text, from, at);
        this.#line = "";
        from = at + 1;
        this.#afterReturn = code === CR;
        this.#interpret(line);
        if (this.#readyState === CLOSED) return;
      }
      this.#line += slice(text, from);
    }

    #interpret(line) {
      if (line === "") {
        this.#dispatch();
        return;
      }
      const colon = indexOf(line, ":");
      if (colon === 0) return;
      const field = colon < 0 ? line : slice(line, 0, colon);
      const start = colon < 0 ? line.length : line[colon + 1] === " " ? colon + 2 : colon + 1;
      const value = slice(line, start);
      if (field === "data") {
        this.#data = this.#data === null ? value : `${this.#data}\n${value}`;
      } else if (field === "event") {
        this.#type = value;
      } else if (field === "id") {
        if (indexOf(value, "\0") < 0) this.#id = value;
      } else if (field === "retry" && exec(DIGITS, value) !== null) {
        this.#delay = +value;
      }
    }

    #dispatch() {
      this.#lastEventId = this.#id;
      const data = this.#data;
      const type = this.#type === "" ? "message" : this.#type;
      this.#data = null;
      this.#type = "";
      if (data === null) return;
      nexus.fireEvent(this, nexus.makeServerEvent(type, data, this.#origin, this.#lastEventId));
    }
  }

  constants(EventSource, { CONNECTING, OPEN, CLOSED });
  const events = ["open", "message", "error"];
  for (let i = 0; i < events.length; i++) nexus.defineEventHandler(EventSource.prototype, events[i], isSource);
  finishInterface(EventSource);
})
