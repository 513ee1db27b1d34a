// HTML, 9.4 Channel messaging.
import {
  test, promise_test, run, assert_equals, assert_true, assert_false, assert_array_equals, assert_interface, assert_throws_js,
  assert_throws_dom, delay,
} from "./harness.js";

const next = (port) => new Promise((resolve) => port.addEventListener("message", resolve, { once: true }));

test(() => {
  assert_interface("MessageChannel", ["port1", "port2"]);
  assert_interface("MessagePort", ["postMessage", "start", "close", "onmessage", "onmessageerror", "onclose"], {
    parent: EventTarget.prototype,
  });
  assert_interface("MessageEvent", ["data", "origin", "lastEventId", "source", "ports", "initMessageEvent"], {
    length: 1,
    parent: Event.prototype,
  });
  assert_throws_js(TypeError, () => new MessagePort());
  assert_equals(MessagePort.prototype.postMessage.length, 1);
}, "the interfaces are as Web IDL says");

promise_test(async () => {
  const { port1, port2 } = new MessageChannel();
  const got = new Promise((resolve) => (port2.onmessage = resolve));
  port1.postMessage({ a: [1] });
  const event = await got;
  assert_equals(event.data.a[0], 1);
  assert_equals(event.type, "message");
  assert_true(event.isTrusted);
  assert_equals(event.target, port2);
  assert_equals(event.origin, "");
  assert_equals(event.source, null);
  assert_equals(event.ports.length, 0);
  assert_true(Object.isFrozen(event.ports));
  assert_false(event.bubbles || event.cancelable);
}, "a message comes as an event");

promise_test(async () => {
  const { port1, port2 } = new MessageChannel();
  const order = [];
  port2.onmessage = (e) => {
    order.push(e.data);
    Promise.resolve().then(() => order.push(`microtask ${e.data}`));
  };
  port1.postMessage(1);
  port1.postMessage(2);
  Promise.resolve().then(() => order.push("before"));
  order.push("now");
  await delay(5);
  assert_array_equals(order, ["now", "before", 1, "microtask 1", 2, "microtask 2"]);
}, "each message is a task of its own, in order");

promise_test(async () => {
  const { port1, port2 } = new MessageChannel();
  const seen = [];
  port2.addEventListener("message", (e) => seen.push(e.data));
  port1.postMessage("a");
  port1.postMessage("b");
  await delay(5);
  assert_equals(seen.length, 0, "the queue is not enabled");
  port2.start();
  port1.postMessage("c");
  await delay(5);
  assert_array_equals(seen, ["a", "b", "c"]);
}, "messages wait for start()");

promise_test(async () => {
  const { port1, port2 } = new MessageChannel();
  const buffer = new Uint8Array([1, 2]).buffer;
  port2.start();
  port1.postMessage(buffer, [buffer]);
  assert_equals(buffer.byteLength, 0);
  assert_equals((await next(port2)).data.byteLength, 2);
  const other = new Uint8Array([3]).buffer;
  port1.postMessage(other, { transfer: [other] });
  assert_equals((await next(port2)).data.byteLength, 1);
  assert_throws_dom("DataCloneError", () => port1.postMessage(1, [other]), "detached");
  assert_throws_dom("DataCloneError", () => port1.postMessage(() => {}));
  assert_throws_dom("DataCloneError", () => port1.postMessage(1, [port1]), "itself");
  assert_throws_dom("DataCloneError", () => port1.postMessage(port2), "not in the list");
  assert_throws_js(TypeError, () => port1.postMessage());
  assert_throws_js(TypeError, () => port1.postMessage(1, 2));
  assert_throws_js(TypeError, () => port1.postMessage(1, [3]));
}, "what is transferred moves, and what cannot be is refused");

promise_test(async () => {
  const carrier = new MessageChannel();
  const { port1, port2 } = new MessageChannel();
  port1.postMessage("first");
  port1.postMessage("second");
  carrier.port2.start();
  carrier.port1.postMessage({ port: port2 }, [port2]);
  const { data, ports } = await next(carrier.port2);
  const moved = data.port;
  assert_equals(ports[0], moved);
  assert_equals(ports.length, 1);
  assert_true(moved instanceof MessagePort && moved !== port2);
  port1.postMessage("third");
  const seen = [];
  moved.onmessage = (e) => seen.push(e.data);
  await delay(5);
  assert_array_equals(seen, ["first", "second", "third"]);
  const back = next((port1.start(), port1));
  moved.postMessage("back");
  assert_equals((await back).data, "back");
  assert_throws_dom("DataCloneError", () => structuredClone(port2, { transfer: [port2] }), "transferred already");
  port2.postMessage("into the void");
}, "a port that is transferred takes its messages along");

promise_test(async () => {
  const { port1, port2 } = new MessageChannel();
  const seen = [];
  port2.onmessage = (e) => {
    seen.push(e.data);
    port2.close();
  };
  port1.onclose = (e) => seen.push(e.type);
  port1.postMessage(1);
  port1.postMessage(2);
  await delay(5);
  assert_array_equals(seen, [1, 2, "close"]);
  port1.postMessage(3);
  await delay(5);
  assert_equals(seen.length, 3);
  assert_throws_dom("DataCloneError", () => structuredClone(port2, { transfer: [port2] }), "closed");
}, "close() ends the channel, and the other side hears of it; what was sent before arrives");

promise_test(async () => {
  const { port1, port2 } = new MessageChannel();
  port1.postMessage(1, [port2]);
  await delay(2);
  assert_throws_dom("DataCloneError", () => structuredClone(port2, { transfer: [port2] }));
}, "a port that is sent to itself is lost");

promise_test(async () => {
  const { port1, port2 } = new MessageChannel();
  const seen = [];
  port2.onmessage = (e) => {
    seen.push(e.data);
    if (e.data === 0) throw new Error("of a message's listener: reported by the test");
  };
  port1.postMessage(0);
  port1.postMessage(1);
  for (let id = 1; id < 5000; id++) clearTimeout(id);
  await delay(5);
  assert_array_equals(seen, [0, 1]);
}, "a listener's exception stops nothing, and clearTimeout() no message");

test(() => {
  const { port1 } = new MessageChannel();
  const event = new MessageEvent("x", { data: 1, origin: "o\ud800", lastEventId: 5, source: port1, ports: new Set([port1]) });
  assert_equals(event.data, 1);
  assert_equals(event.origin, "o\ufffd");
  assert_equals(event.lastEventId, "5");
  assert_equals(event.source, port1);
  assert_equals(event.ports[0], port1);
  assert_equals(event.ports, event.ports);
  const empty = new MessageEvent("x");
  assert_array_equals([empty.data, empty.origin, empty.lastEventId, empty.source, empty.ports.length], [null, "", "", null, 0]);
  assert_throws_js(TypeError, () => new MessageEvent("x", { ports: 1 }));
  assert_throws_js(TypeError, () => new MessageEvent("x", { ports: [{}] }));
  assert_throws_js(TypeError, () => new MessageEvent("x", { source: {} }));
  empty.initMessageEvent("y", true, false, 2, "o", "l", port1, [port1]);
  assert_array_equals([empty.type, empty.bubbles, empty.data, empty.source, empty.ports[0]], ["y", true, 2, port1, port1]);
  assert_equals(empty.initMessageEvent.length, 1);
}, "MessageEvent");

promise_test(async () => {
  const { port1, port2 } = new MessageChannel();
  port2.start();
  let stored;
  port2.onmessageerror = stored = () => {};
  assert_equals(port2.onmessageerror, stored);
  const count = 500;
  let seen = 0;
  const all = new Promise((resolve) => {
    port2.onmessage = (e) => {
      assert_equals(e.data, seen);
      if (++seen === count) resolve();
    };
  });
  for (let i = 0; i < count; i++) port1.postMessage(i);
  await all;
}, "many messages");

export default run;
