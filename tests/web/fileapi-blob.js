// Blob and File. https://w3c.github.io/FileAPI/
import {
  run, test, promise_test, assert_equals, assert_true, assert_false, assert_array_equals, assert_throws_js,
  assert_throws_exactly, assert_interface, promise_rejects_js,
} from "./harness.js";

test(() => {
  assert_interface("Blob", ["size", "type", "slice", "stream", "text", "textStream", "arrayBuffer", "bytes"]);
  assert_interface("File", ["name", "lastModified"], { parent: Blob.prototype, length: 2 });
  assert_equals(Object.getPrototypeOf(File), Blob);
}, "Blob and File are interfaces, and a file is a blob");

promise_test(async () => {
  const buffer = new Uint8Array([0, 65, 66, 67]).buffer;
  const views = [new DataView(buffer, 1, 2), new Uint8Array(buffer, 3)];
  const parts = ["a\ud800", ...views, buffer.slice(1), new Blob(["é"]), 1, null];
  const blob = new Blob(parts);
  new Uint8Array(buffer).fill(48);
  assert_equals(blob.size, 1 + 3 + 2 + 1 + 3 + 2 + 1 + 4);
  assert_equals(await blob.text(), "a\ufffdABCABCé1null");
  assert_equals(blob.type, "");
  for (const wrong of [null, 1, "ab", {}, new Date()]) assert_throws_js(TypeError, () => new Blob(wrong));
}, "a blob is made of strings, buffers, views and blobs, as they were then");

test(() => {
  const seen = [];
  const log = (name, value) => ({ toString: () => (seen.push(name), value) });
  new Blob([log("part", "x")], {
    get type() {
      seen.push("get type");
      return log("type", "a/b");
    },
    get endings() {
      seen.push("get endings");
      return log("endings", "native");
    },
  });
  assert_array_equals(seen, ["part", "get endings", "endings", "get type", "type"]);
  assert_throws_js(TypeError, () => new Blob([], { endings: "other" }));
  assert_throws_js(TypeError, () => new Blob([], 1));
  const error = new Error();
  assert_throws_exactly(error, () => new Blob([{ toString() { throw error; } }]));
}, "parts are converted before the options, and those in the order of their names");

test(() => {
  const types = [["A/B;c=D", "a/b;c=d"], [" a ", " a "], ["\u00e5", ""], ["a\tb", ""], ["\u0130", ""], ["a\x7f", ""]];
  for (const [given, type] of types) {
    assert_equals(new Blob([], { type: given }).type, type);
    assert_equals(new Blob([]).slice(0, 0, given).type, type);
    assert_equals(new File([], "n", { type: given }).type, type);
  }
}, "a type is in lower case, or empty if it is not printable ASCII");

promise_test(async () => {
  assert_equals(await new Blob(["\na\r\nb\n\rc\r", "\n"], { endings: "native" }).text(), "\na\nb\n\nc\n\n");
  assert_equals(await new Blob(["a\r\nb"]).text(), "a\r\nb");
}, "line endings become native if that is asked for, part by part");

promise_test(async () => {
  const blob = new Blob(["foo", new Blob(["squiggle"]), "baz"], { type: "a/b" });
  const cases = [
    [[], "foosquigglebaz"], [[2, 4], "os"], [[10, 12], "eb"], [[-3], "baz"], [[0, -12], "fo"], [[5, 2], ""], [[99], ""],
    [[undefined, 2], "fo"], [[0.5, 1.5], "fo"], [[1.5, 2.5], ""], [[2.5, 3.5], "os"], [[NaN, null], ""],
    [[-99, 99], "foosquigglebaz"], [[-Infinity, Infinity], "foosquigglebaz"],
  ];
  for (const [bounds, text] of cases) {
    const slice = blob.slice(...bounds);
    assert_equals(slice.size, text.length, `${bounds}`);
    assert_equals(await slice.text(), text, `${bounds}`);
    assert_equals(slice.type, "");
  }
  assert_false(new File(["a"], "n").slice() instanceof File);
}, "a slice clamps its bounds, rounds halves to even, and has its own type");

promise_test(async () => {
  const blob = new Blob(["\ufeffä"]);
  assert_equals(await blob.text(), "ä");
  const bytes = await blob.bytes();
  assert_array_equals([...bytes], [0xef, 0xbb, 0xbf, 0xc3, 0xa4]);
  bytes.fill(0);
  const buffer = await blob.arrayBuffer();
  assert_equals(buffer.byteLength, 5);
  assert_equals(new Uint8Array(buffer)[0], 0xef);
  for (const method of ["text", "arrayBuffer", "bytes"]) {
    await promise_rejects_js(TypeError, Blob.prototype[method].call({}));
  }
}, "what is read of a blob is a copy; a wrong receiver is a rejection");

async function gather(stream) {
  const all = [];
  for await (const chunk of stream) all.push(...chunk);
  return all;
}

promise_test(async () => {
  const large = new Uint8Array(200_000).map((_, i) => i * 7);
  const blob = new Blob(["ab", large, new Uint8Array(0), "c"]);
  const all = await gather(blob.stream());
  assert_equals(all.length, 200_003);
  assert_true(large.every((byte, i) => all[i + 2] === byte));
  assert_array_equals(await gather(new Blob().stream()), []);
  for await (const chunk of blob.stream()) chunk.fill(0);
  assert_equals((await blob.bytes())[0], 97);
  const reader = blob.stream().getReader({ mode: "byob" });
  assert_equals((await reader.read(new Uint8Array(2))).value[1], 98);
  await reader.cancel();
}, "a blob's stream gives copies of its bytes, also to a BYOB reader");

promise_test(async () => {
  const chunks = async (stream) => {
    const all = [];
    for await (const chunk of stream) all.push(chunk);
    return all;
  };
  assert_array_equals(await chunks(new Blob(["aé€😀"]).textStream()), ["aé€😀"]);
  assert_array_equals(await chunks(new Blob().textStream()), []);
  const text = "é€😀".repeat(50_000);
  assert_equals((await chunks(new Blob([text]).textStream())).join(""), text);
  assert_array_equals(await chunks(new Blob([new Uint8Array([0xef, 0xbb, 0xbf])]).textStream()), []);
  assert_equals((await chunks(new Blob([new Uint8Array([97, 0xf0, 0x9f])]).textStream())).join(""), "a\ufffd");
}, "a text stream decodes UTF-8 across its chunks");

promise_test(async () => {
  const before = Date.now();
  const file = new File(["a"], "n\ud800", { type: "A/B" });
  assert_equals(file.name, "n\ufffd");
  assert_true(file.lastModified >= before && file.lastModified <= Date.now());
  assert_equals(new File([], "a/b", { lastModified: "42.9" }).lastModified, 42);
  assert_equals(new File([], "a", { lastModified: new Date(5) }).lastModified, 5);
  assert_equals(String(file), "[object File]");
  assert_throws_js(TypeError, () => new File());
  assert_throws_js(TypeError, () => new File([]));
  assert_throws_js(TypeError, () => new File("a", "b"));
  assert_throws_js(TypeError, () => Object.getOwnPropertyDescriptor(File.prototype, "name").get.call(new Blob()));
}, "a file has a name and a time");

promise_test(async () => {
  const file = new File(["b"], "n", { lastModified: 3 });
  const copy = structuredClone({ blob: new Blob(["a"], { type: "x/y" }), file });
  assert_true(copy.blob instanceof Blob && !(copy.blob instanceof File) && copy.file instanceof File);
  assert_equals(copy.blob.type, "x/y");
  assert_equals(await copy.blob.text(), "a");
  assert_equals(copy.file.name, "n");
  assert_equals(copy.file.lastModified, 3);
  assert_equals(await copy.file.text(), "b");
}, "blobs and files can be cloned");

promise_test(async () => {
  let blob = new Blob();
  for (let i = 0; i < 3000; i++) blob = new Blob([blob, "0123456789"]);
  assert_equals(blob.size, 30_000);
  assert_equals((await blob.text()).slice(-12), "890123456789");
  const buffer = new ArrayBuffer(8);
  buffer.transfer();
  assert_equals(new Blob([buffer]).size, 0);
}, "a blob may grow in many steps; a detached buffer holds nothing");

export default run;
