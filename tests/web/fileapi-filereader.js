// FileReader and ProgressEvent. https://w3c.github.io/FileAPI/#APIASynch
import {
  run, test, promise_test, assert_equals, assert_true, assert_throws_js, assert_throws_dom, assert_interface,
} from "./harness.js";

const TYPES = ["loadstart", "progress", "load", "abort", "error", "loadend"];

function read(method, blob, ...more) {
  const reader = new FileReader();
  const seen = [];
  for (const type of TYPES) {
    reader.addEventListener(type, (event) => seen.push(`${type} ${reader.readyState} ${event.loaded}/${event.total}`));
  }
  return new Promise((resolve) => {
    reader.onloadend = () => resolve({ result: reader.result, seen: seen.join(), reader });
    reader[method](blob, ...more);
    assert_equals(reader.readyState, 1);
    assert_equals(reader.result, null);
  });
}

test(() => {
  const members = [
    "readAsArrayBuffer", "readAsBinaryString", "readAsText", "readAsDataURL", "abort", "readyState", "result", "error",
  ];
  assert_interface("FileReader", [...members, ...TYPES.map((type) => `on${type}`)], { parent: EventTarget.prototype });
  assert_interface("ProgressEvent", ["lengthComputable", "loaded", "total"], { parent: Event.prototype, length: 1 });
  for (const object of [FileReader, FileReader.prototype]) {
    assert_equals([object.EMPTY, object.LOADING, object.DONE].join(), "0,1,2");
  }
  const event = new ProgressEvent("a", { loaded: 1.5, total: "2", lengthComputable: 1 });
  assert_equals([event.loaded, event.total, event.lengthComputable].join(), "1.5,2,true");
  assert_throws_js(TypeError, () => new ProgressEvent("a", { loaded: NaN }));
}, "FileReader and ProgressEvent are interfaces");

promise_test(async () => {
  const { seen } = await read("readAsText", new Blob(["abc"]));
  assert_equals(seen, "loadstart 1 0/3,progress 1 3/3,load 2 3/3,loadend 2 3/3");
  assert_equals((await read("readAsText", new Blob())).seen, "loadstart 1 0/0,load 2 0/0,loadend 2 0/0");
}, "events come in order, each in a task of its own");

promise_test(async () => {
  const blob = new Blob([new Uint8Array([0xc3, 0xa9, 0xff])], { type: "a/b" });
  assert_equals((await read("readAsText", blob)).result, "é\ufffd");
  assert_equals((await read("readAsText", blob, "latin1")).result, "Ã©ÿ");
  assert_equals((await read("readAsText", blob.slice(0, 2, "text/plain;charset=latin1"))).result, "Ã©");
  assert_equals((await read("readAsText", blob, "no encoding")).result, "é\ufffd");
  assert_equals((await read("readAsText", new Blob([new Uint8Array([0xfe, 0xff, 0, 104])]), "latin1")).result, "h");
  assert_equals((await read("readAsText", new Blob([new Uint8Array([0xff, 0xfe, 104, 0])]))).result, "h");
  assert_equals((await read("readAsText", new Blob(["\ufeffa"]))).result, "a");
  assert_equals((await read("readAsBinaryString", blob)).result, "\xc3\xa9\xff");
  assert_equals((await read("readAsDataURL", blob)).result, "data:a/b;base64,w6n/");
  assert_equals((await read("readAsDataURL", new Blob())).result, "data:application/octet-stream;base64,");
  const { result } = await read("readAsArrayBuffer", blob);
  assert_true(result instanceof ArrayBuffer);
  assert_equals(result.byteLength, 3);
}, "a blob is read as text, bytes, or a data URL");

promise_test(async () => {
  const reader = new FileReader();
  reader.abort();
  assert_equals(reader.readyState, 0);
  assert_throws_js(TypeError, () => reader.readAsText("a"));
  const seen = [];
  for (const type of TYPES) reader[`on${type}`] = () => seen.push(type);
  reader.readAsText(new Blob(["a"]));
  assert_throws_dom("InvalidStateError", () => reader.readAsText(new Blob()));
  reader.abort();
  assert_equals(seen.join(), "abort,loadend");
  assert_equals(reader.readyState, 2);
  reader.readAsText(new Blob(["b"]));
  await new Promise((resolve) => (reader.onloadend = resolve));
  assert_equals(reader.result, "b");
  assert_equals(seen.join(), "abort,loadend,loadstart,progress,load");
}, "a read is aborted at once, and there is one at a time");

export default run;
