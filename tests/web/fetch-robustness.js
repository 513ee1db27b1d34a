// What no standard has to say, but a host must: patched built-ins hurt neither bodies nor headers, blobs and forms, and
// get nothing internal into their hands.
import { run, test, promise_test, assert_equals } from "./harness.js";

const TypedArray = Object.getPrototypeOf(Uint8Array.prototype);
const HOLDERS = [
  Array.prototype, Map.prototype, Set.prototype, WeakMap.prototype, RegExp.prototype, String.prototype, TypedArray,
  ArrayBuffer.prototype, DataView.prototype, Function.prototype, Number.prototype, Reflect, Math, JSON, Object,
  Blob.prototype, File.prototype, FormData.prototype, Headers.prototype,
  URLSearchParams.prototype, URL.prototype, ReadableStream.prototype, ReadableStreamDefaultReader.prototype,
  Request.prototype, Response.prototype, TextDecoder.prototype, TextEncoder.prototype, Date,
];
// What the language itself looks up in them, or the test.
const KEPT = new Set(["constructor", "prototype", "name", "length"]);
const GLOBALS = [
  "Uint8Array", "ArrayBuffer", "Blob", "File", "FormData", "Headers", "URL", "URLSearchParams", "TextDecoder", "Symbol",
];

/** Runs `body` while every function and getter of those throws; gives the names of those that were called. */
function sabotaged(body) {
  const called = [];
  const saved = [];
  const { defineProperty } = Object;
  for (const holder of HOLDERS) {
    for (const key of Reflect.ownKeys(holder)) {
      const descriptor = Object.getOwnPropertyDescriptor(holder, key);
      const length = key === "length" && descriptor.get !== undefined;
      if ((KEPT.has(key) && !length) || !descriptor.configurable) continue;
      // A guest's own arrays are read by the ordinary protocol.
      if (holder === Array.prototype && key === Symbol.iterator) continue;
      if (typeof (descriptor.value ?? descriptor.get) !== "function") continue;
      saved[saved.length] = [holder, key, descriptor];
    }
  }
  for (const name of GLOBALS) {
    saved[saved.length] = [globalThis, name, Object.getOwnPropertyDescriptor(globalThis, name)];
  }
  for (let i = 0; i < saved.length; i++) {
    const [holder, key, descriptor] = [saved[i][0], saved[i][1], saved[i][2]];
    const spy = function () {
      called[called.length] = key;
      throw new TypeError("called");
    };
    const parts = descriptor.get === undefined ? { value: spy, writable: true } : { get: spy, set: undefined };
    saved[i][3] = { __proto__: null, enumerable: descriptor.enumerable, configurable: true, ...parts };
  }
  for (let i = 0; i < saved.length; i++) defineProperty(saved[i][0], saved[i][1], saved[i][3]);
  let thrown;
  try {
    body();
  } catch (error) {
    thrown = error;
  }
  for (let i = 0; i < saved.length; i++) defineProperty(saved[i][0], saved[i][1], saved[i][2]);
  if (thrown !== undefined && called.length === 0) throw thrown;
  return called.map(String);
}

const bytes = new TextEncoder().encode(
  '--b\r\nContent-Disposition: form-data; name=a; filename="f"\r\nContent-Type: A/B;c="d"\r\n\r\nxy\r\n--b--',
);
const { Blob: SavedBlob, File: SavedFile, FormData: SavedForm, Headers: SavedHeaders } = globalThis;
const methodsOf = (Class) => {
  const methods = { __proto__: null };
  for (const key of Reflect.ownKeys(Class.prototype)) {
    const { value, get } = Object.getOwnPropertyDescriptor(Class.prototype, key);
    if (typeof (value ?? get) === "function") methods[key] = Function.prototype.call.bind(value ?? get);
  }
  return methods;
};
const blobs = methodsOf(Blob);
const forms = methodsOf(FormData);
const headersOf = methodsOf(Headers);
const responses = methodsOf(Response);
const requests = methodsOf(Request);

const works = (name, body) =>
  test(() => {
    assert_equals(sabotaged(body).join(), "");
  }, `${name}: no patched built-in is called`);

works("headers", () => {
  const headers = new SavedHeaders({ a: "1", "X-Very": " x\t", "set-cookie": "é" });
  headersOf.append(headers, "b", "2");
  headersOf.set(headers, "B", "3");
  headersOf.delete(headers, "a");
  headersOf.get(headers, "b");
  headersOf.getSetCookie(headers);
  headersOf.keys(headers);
});

let pending;
works("a body", () => {
  const init = { method: "post", body: "x", headers: { a: "b" }, mode: "cors", referrer: "http://r/" };
  const request = new Request("http://u/?@", init);
  const second = new Request(request);
  const third = requests.clone(second);
  const headers = { "content-type": "multipart/form-data;boundary=b" };
  const response = new Response(bytes, { status: 201, statusText: "x", headers });
  const copy = responses.clone(response);
  pending = {
    text: requests.text(second),
    json: requests.json(third),
    form: responses.formData(response),
    blob: responses.blob(copy),
    bytes: responses.bytes(Response.json({ a: [1] })),
    stream: responses.text(new Response(responses.body(new Response(bytes)))),
    part: responses.text(new Response(new SavedBlob(["a", bytes]))),
    query: responses.formData(new Response("a=b", { headers: [["content-type", "application/x-www-form-urlencoded"]] })),
  };
  responses.textStream(new Response("abc"));
});

promise_test(async () => {
  assert_equals(await pending.text, "x");
  assert_equals((await pending.form).get("a").type, "a/b;c=d");
  assert_equals((await pending.blob).type, "multipart/form-data;boundary=b");
  assert_equals((await pending.bytes).length, 9);
  assert_equals((await pending.stream).length, bytes.length);
  assert_equals((await pending.part).length, bytes.length + 1);
  assert_equals((await pending.query).get("a"), "b");
  await pending.json.catch((error) => assert_equals(error.constructor, SyntaxError));
}, "what was begun then ends well");

works("blobs and forms", () => {
  const blob = new SavedBlob(["a\r\n", bytes, new SavedFile(["b"], "n", { endings: "native", type: "A/b" })]);
  blobs.slice(blob, 0.5, -1, "X/y");
  blobs.stream(blob);
  blobs.textStream(blob);
  blobs.text(blob);
  const form = new SavedForm();
  forms.append(form, "a\n", "b");
  forms.set(form, "f", blob, "n");
  forms.getAll(form, "a");
  forms.delete(form, "b");
  forms.entries(form);
  responses.bytes(new Response(form));
});

promise_test(async () => {
  const made = [];
  Object.defineProperty(Uint8Array, Symbol.species, {
    value: function (length) {
      made[made.length] = new bytes.constructor(length);
      return made[made.length - 1];
    },
    configurable: true,
  });
  const response = new Response(bytes);
  const blob = new SavedBlob([bytes]);
  delete Uint8Array[Symbol.species];
  assert_equals(made.length, 0);
  assert_equals((await response.bytes()).length + blob.size, 2 * bytes.length);
}, "copies of bytes are not made by what the guest says");

promise_test(async () => {
  const names = [
    "kind", "source", "stream", "used", "seen", "views", "top", "next", "step", "copy", "list", "i", "inherits", "key", "holes",
    "type", "callback", "capture", "once", "passive", "removed", "port", "queue", "head", "entry", "task", "ports", "options",
    "parts", "small", "waiting", "own", "empty", "unchecked", "method", "signal", "boundary", "essence", "parameters",
  ];
  const heard = new Set();
  for (const name of names) {
    const get = () => heard.add(`get ${name}`) && undefined;
    Object.defineProperty(Object.prototype, name, { __proto__: null, configurable: true, get, set: () => heard.add(name) });
  }
  let response, clone, form, received;
  try {
    response = new Response("a").clone();
    const { port1, port2 } = new MessageChannel();
    received = new Promise((resolve) => port2.addEventListener("message", resolve, { __proto__: null, once: true }));
    port2.start();
    port1.postMessage([1]);
    const fields = new FormData();
    fields.append("a", new Blob(["b", new Uint8Array(1)]));
    form = new Response(fields).formData();
    new Request(new Request("http://a/", { __proto__: null, method: "POST", body: "b", headers: [["a", "b"]] })).body;
    clone = structuredClone({ a: [new Map([[{}, new Set([1])]]), new Error("b")] });
  } finally {
    for (const name of names) delete Object.prototype[name];
  }
  // `signal` and such are looked for in the guest's own options.
  assert_equals([...heard].filter((name) => !name.startsWith("get ")).join(), "");
  assert_equals(await response.text(), "a");
  assert_equals((await form).get("a").size, 2);
  assert_equals((await received).data[0], 1);
  assert_equals(clone.a[0].size + clone.a[1].message, "1b");
}, "setters in Object.prototype hear of nothing internal");

export default run;
