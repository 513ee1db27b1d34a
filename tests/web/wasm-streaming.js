// WebAssembly Web API, 2: modules and instances of responses.
import {
  promise_test, run, assert_equals, assert_true, promise_rejects_js, promise_rejects_exactly,
} from "./harness.js";

const EMPTY = new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
const METHODS = ["compileStreaming", "instantiateStreaming"];
const TYPE = { "content-type": "application/wasm" };
const response = (body = EMPTY, headers = TYPE, status = 200) => new Response(body, { headers, status });
const stream = () => new ReadableStream({
  start(controller) {
    for (const byte of EMPTY) controller.enqueue(new Uint8Array([byte]));
    controller.close();
  },
});

promise_test(async () => {
  for (const source of [response, () => Promise.resolve(response()), () => ({ then: (resolve) => resolve(response()) }),
    () => response(stream()), () => response(new Blob([EMPTY])), () => response(EMPTY, { "content-type": " \tAPPLICATION/Wasm " })]) {
    assert_true((await WebAssembly.compileStreaming(source())) instanceof WebAssembly.Module);
    const { instance, module } = await WebAssembly.instantiateStreaming(source());
    assert_true(instance instanceof WebAssembly.Instance && module instanceof WebAssembly.Module);
  }
}, "a response, a promise of one, a body of any kind");

promise_test(async () => {
  for (const method of METHODS) {
    assert_equals(WebAssembly[method].length, 1);
    await promise_rejects_js(TypeError, WebAssembly[method]());
    for (const wrong of [undefined, null, true, "x", Symbol(), 0, {}, EMPTY, Response, Response.prototype, new Request("http://h/")]) {
      await promise_rejects_js(TypeError, WebAssembly[method](wrong), `${method}: ${String(wrong)}`);
      await promise_rejects_js(TypeError, WebAssembly[method](Promise.resolve(wrong)), `${method}: ${String(wrong)} in a promise`);
    }
    const error = { name: "custom" };
    await promise_rejects_exactly(error, WebAssembly[method](Promise.reject(error)));
    await promise_rejects_js(TypeError, WebAssembly[method].call(undefined, 5));
  }
}, "anything else is a rejection");

promise_test(async () => {
  const wrong = ["", "application/javascript", "text/wasm", "application/wasm;", "application/wasm;x", "application/wasm;charset=UTF-8"];
  for (const method of METHODS) {
    for (const type of wrong) await promise_rejects_js(TypeError, WebAssembly[method](response(EMPTY, { "content-type": type })), type);
    await promise_rejects_js(TypeError, WebAssembly[method](new Response(EMPTY)), "none");
    const twice = new Headers(TYPE);
    twice.append("content-type", "application/wasm");
    await promise_rejects_js(TypeError, WebAssembly[method](response(EMPTY, twice)), "twice");
    for (const status of [300, 404, 500]) await promise_rejects_js(TypeError, WebAssembly[method](response(EMPTY, TYPE, status)), status);
    await promise_rejects_js(TypeError, WebAssembly[method](Response.error()));
    await promise_rejects_js(WebAssembly.CompileError, WebAssembly[method](response(null)), "no body");
    await promise_rejects_js(WebAssembly.CompileError, WebAssembly[method](response("text")));
  }
}, "the type is application/wasm and nothing more, the status is a good one");

promise_test(async () => {
  for (const method of METHODS) {
    const before = response();
    before.arrayBuffer();
    await promise_rejects_js(TypeError, WebAssembly[method](before), "after consumption");
    const after = response();
    const promise = WebAssembly[method](after);
    after.arrayBuffer();
    await promise_rejects_js(TypeError, promise, "before consumption");
    const read = response();
    await WebAssembly[method](read);
    assert_true(read.bodyUsed);
    const failing = new ReadableStream({ pull: () => { throw new RangeError("mine"); } });
    await promise_rejects_js(RangeError, WebAssembly[method](response(failing)), "a stream that fails");
  }
}, "the body is read once");

promise_test(async () => {
  await promise_rejects_js(TypeError, WebAssembly.compileStreaming(response(), 5));
  await promise_rejects_js(TypeError, WebAssembly.instantiateStreaming(response(), null));
  await promise_rejects_js(TypeError, WebAssembly.instantiateStreaming(response(), {}, { builtins: 1 }));
  await promise_rejects_js(WebAssembly.CompileError, WebAssembly.compileStreaming(response(), { builtins: ["x", "x"] }));
}, "options and imports are checked, too");

export default run;
