// Bodies and the Body mixin. https://fetch.spec.whatwg.org/#body-mixin
import {
  run, test, promise_test, assert_equals, assert_true, assert_false, assert_array_equals, assert_throws_js,
  promise_rejects_js, promise_rejects_exactly, assert_not_equals,
} from "./harness.js";

const READERS = ["arrayBuffer", "blob", "bytes", "formData", "json", "text"];
const post = (body, more) => new Request("http://a/", { method: "POST", body, duplex: "half", ...more });

test(() => {
  for (const Class of [Request, Response]) {
    for (const name of [...READERS, "body", "bodyUsed", "textStream"]) {
      const descriptor = Object.getOwnPropertyDescriptor(Class.prototype, name);
      assert_true(descriptor.enumerable && descriptor.configurable, name);
      if (descriptor.value) assert_equals(descriptor.value.length, 0, name);
      else assert_throws_js(TypeError, () => descriptor.get.call({}), name);
    }
    assert_throws_js(TypeError, () => Class.prototype.textStream.call({}));
  }
}, "Request and Response have the mixin's members");

promise_test(async () => {
  for (const name of READERS) await promise_rejects_js(TypeError, Response.prototype[name].call({}), name);
}, "a reader's wrong receiver is a rejection");

test(() => {
  const cases = [
    ["", "text/plain;charset=UTF-8"], [{}, "text/plain;charset=UTF-8"], [new Uint8Array(1), null],
    [new ArrayBuffer(1), null],
    [new Blob(["a"]), null], [new Blob(["a"], { type: "A/B; c" }), "a/b; c"], [new ReadableStream(), null],
    [new URLSearchParams("a"), "application/x-www-form-urlencoded;charset=UTF-8"], [null, null], [undefined, null],
  ];
  for (const [body, type] of cases) {
    assert_equals(new Response(body).headers.get("content-type"), type);
    assert_equals(new Response(body, { headers: { "Content-Type": "x/y" } }).headers.get("content-type"), "x/y");
    if (!(body instanceof ReadableStream)) assert_equals(post(body).headers.get("content-type"), type);
  }
}, "a body brings its type along, unless there is one");

promise_test(async () => {
  const bytes = new Uint8Array([34, 97, 34]);
  const makers = [
    () => '"a"', () => bytes, () => bytes.buffer, () => new DataView(bytes.buffer), () => new Blob(['"', "a", '"']),
    () => new Blob(['"a"']), () => new Response('"a"').body, () => new Blob(['"a"']).stream(),
    () => new ReadableStream({ start: (c) => (c.enqueue(bytes.slice(0, 1)), c.enqueue(bytes.slice(1)), c.close()) }),
  ];
  for (const make of makers) {
    const objects = [
      () => new Response(make()), () => post(make()), () => new Response(make()).clone(), () => new Request(post(make())),
    ];
    for (const object of objects) {
      assert_equals(await object().text(), '"a"');
      assert_equals(await object().json(), "a");
      assert_equals((await object().arrayBuffer()).byteLength, 3);
      assert_array_equals(await object().bytes(), [34, 97, 34]);
      assert_equals(await (await object().blob()).text(), '"a"');
      let text = "";
      for await (const chunk of object().textStream()) text += chunk;
      assert_equals(text, '"a"');
      const touched = object();
      touched.body;
      assert_equals(await touched.text(), '"a"');
    }
  }
  assert_equals(bytes[1], 97);
}, "each kind of body can be read in each way");

promise_test(async () => {
  for (const object of [new Response(), new Request("http://a/")]) {
    assert_equals(object.body, null);
    for (let i = 0; i < 2; i++) {
      assert_equals(await object.text(), "");
      assert_equals((await object.bytes()).length, 0);
      assert_equals((await object.blob()).size, 0);
      await promise_rejects_js(SyntaxError, object.json());
      await promise_rejects_js(TypeError, object.formData());
      const reader = object.textStream().getReader();
      await reader.closed;
    }
    assert_false(object.bodyUsed);
  }
}, "a null body is empty, and never used");

promise_test(async () => {
  for (const name of READERS) {
    for (const body of ["1", new Blob(["1"]), new Response("1").body]) {
      const response = new Response(body);
      assert_false(response.bodyUsed);
      const pending = response[name]();
      assert_true(response.bodyUsed, name);
      assert_throws_js(TypeError, () => response.clone());
      assert_throws_js(TypeError, () => response.textStream());
      assert_throws_js(TypeError, () => response.body.getReader());
      await pending.catch(() => {});
      await promise_rejects_js(TypeError, response.text());
    }
  }
  const response = new Response("a");
  response.body.getReader();
  assert_false(response.bodyUsed);
  await promise_rejects_js(TypeError, response.text());
}, "a body is read once, and locked while it is");

promise_test(async () => {
  const types = [
    [{}, ""], [{ "content-type": "A/b; C=d" }, "a/b;c=d"], [{ "content-type": "nonsense" }, ""],
    [[["content-type", "text/plain;charset=x"], ["content-type", "text/plain"]], "text/plain;charset=x"],
    [[["content-type", 'a/b;x="1,2"'], ["content-type", "*/*"]], 'a/b;x="1,2"'],
    [[["content-type", "a/b"], ["content-type", "c/d"]], "c/d"],
  ];
  for (const [headers, type] of types) {
    assert_equals((await new Response(new Uint8Array(1), { headers }).blob()).type, type);
    assert_equals((await new Response(null, { headers }).blob()).type, type);
  }
  const response = new Response("a");
  response.headers.set("content-type", "x/y");
  assert_equals((await response.blob()).type, "x/y");
}, "a blob's type is the MIME type of the headers");

promise_test(async () => {
  const error = new Error("mine");
  for (const name of READERS) {
    const failing = new ReadableStream({ pull: (controller) => controller.error(error) });
    await promise_rejects_exactly(error, new Response(failing)[name]());
    for (const chunk of ["a", null, 1, new ArrayBuffer(1), new Int8Array(1)]) {
      const stream = new ReadableStream({ start: (controller) => controller.enqueue(chunk) });
      await promise_rejects_js(TypeError, new Response(stream)[name](), name);
    }
  }
}, "a stream's error is the reader's, and chunks other than Uint8Arrays are a TypeError");

promise_test(async () => {
  const chunk = new Uint8Array([97]);
  let controller;
  const response = new Response(new ReadableStream({ start: (c) => (controller = c) }));
  const text = response.text();
  controller.enqueue(chunk);
  await undefined;
  chunk[0] = 98;
  controller.enqueue(chunk);
  controller.close();
  assert_equals(await text, "ab");
}, "a chunk counts as it is when it comes");

promise_test(async () => {
  const stream = new ReadableStream();
  assert_equals(new Response(stream).body, stream);
  const first = post(new Response("text").body);
  const old = first.body;
  const second = new Request(first);
  assert_true(first.bodyUsed && old.locked);
  assert_equals(first.body, old);
  assert_not_equals(second.body, old);
  assert_equals(await second.text(), "text");
  let reason;
  const third = new Request(post(new ReadableStream({ cancel: (r) => (reason = r) })));
  await third.body.cancel("enough");
  assert_equals(reason, "enough");
}, "a request made of another reads the old one's stream, and cancels it");

promise_test(async () => {
  const response = new Response(new Blob(["ab"]));
  const copy = response.clone();
  (await response.bytes()).fill(0);
  assert_equals(await copy.text(), "ab");
  const streaming = new Response(new ReadableStream({ start: (c) => (c.enqueue(new Uint8Array([97])), c.close()) }));
  const other = streaming.clone();
  (await streaming.body.getReader().read()).value.fill(0);
  assert_equals(await other.text(), "a");
}, "clones have bytes of their own");

promise_test(async () => {
  const buffer = new ArrayBuffer(3);
  buffer.transfer();
  assert_equals((await new Response(buffer).bytes()).length, 0);
  const view = new Uint8Array(2);
  view.buffer.transfer();
  assert_equals((await new Response(view).bytes()).length, 0);
  const resizable = new ArrayBuffer(1, { maxByteLength: 2 });
  for (const source of [resizable, new Uint8Array(resizable), new DataView(resizable)]) {
    assert_throws_js(TypeError, () => new Response(source));
    assert_throws_js(TypeError, () => post(source));
    assert_throws_js(TypeError, () => new Blob([source]));
  }
  const cut = await new Response(new Uint8Array(10).subarray(2, 4)).arrayBuffer();
  assert_equals(cut.byteLength, 2);
}, "a detached buffer is an empty body, a resizable one is none, and a view is what it shows");

promise_test(async () => {
  const hello = new TextEncoder().encode("hello");
  for (const body of [hello, new ReadableStream({ start: (c) => (c.enqueue(hello), c.close()) }), new Blob([hello])]) {
    const response = new Response(body);
    Object.prototype.then = (resolve) => {
      delete Object.prototype.then;
      resolve({ done: false, value: new Uint8Array([98]) });
    };
    let text;
    try {
      text = await response.text();
    } finally {
      delete Object.prototype.then;
    }
    assert_equals(text, "hello");
  }
}, "nobody can slip other bytes in");

export default run;

promise_test(async () => {
  for (const sizes of [[], [0], [7], [0, 7], [7, 0], [10, 65526], [65536, 1], [1, 65536], [40000, 40000, 40000], [70000, 3, 200000], [1, 2, 3, 4]]) {
    const chunks = sizes.map((size, i) => new Uint8Array(size).fill(i + 1));
    const stream = new ReadableStream({
      pull(controller) {
        const chunk = chunks.shift();
        if (chunk === undefined) return controller.close();
        controller.enqueue(chunk);
        // It is taken as it was.
        setTimeout(() => chunk.fill(99));
      },
    });
    const expected = new Uint8Array(sizes.reduce((sum, size) => sum + size, 0));
    for (let i = 0, at = 0; i < sizes.length; at += sizes[i++]) expected.fill(i + 1, at, at + sizes[i]);
    const read = await new Response(stream).bytes();
    await new Promise((resolve) => setTimeout(resolve, 1));
    assert_equals(read.buffer.byteLength, expected.length, String(sizes));
    assert_true(read.every((byte, i) => byte === expected[i]), String(sizes));
  }
}, "a stream's chunks of any sizes are one after the other");
