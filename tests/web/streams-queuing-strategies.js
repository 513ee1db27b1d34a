// Streams, 7 Queuing strategies.
import { test, run, assert_equals, assert_interface, assert_throws_js } from "./harness.js";

for (const name of ["CountQueuingStrategy", "ByteLengthQueuingStrategy"]) {
  test(() => {
    assert_interface(name, ["highWaterMark", "size"], { length: 1 });
    const Class = globalThis[name];
    assert_throws_js(TypeError, () => new Class());
    assert_throws_js(TypeError, () => new Class({}));
    assert_equals(new Class({ highWaterMark: "5" }).highWaterMark, 5);
    assert_equals(new Class({ highWaterMark: -3 }).highWaterMark, -3);
    const { size } = new Class({ highWaterMark: 1 });
    assert_equals(size, new Class({ highWaterMark: 2 }).size);
    assert_equals(size.name, "size");
  }, `${name} is an interface`);
}

test(() => {
  assert_equals(new CountQueuingStrategy({ highWaterMark: 1 }).size({ byteLength: 9 }), 1);
  assert_equals(new CountQueuingStrategy({ highWaterMark: 1 }).size.length, 0);
  assert_equals(new ByteLengthQueuingStrategy({ highWaterMark: 1 }).size(new Uint16Array(4)), 8);
  assert_equals(new ByteLengthQueuingStrategy({ highWaterMark: 1 }).size.length, 1);
}, "what they count");

test(() => {
  let controller;
  new ReadableStream({ start: (c) => (controller = c) }, new ByteLengthQueuingStrategy({ highWaterMark: 10 }));
  controller.enqueue(new Uint8Array(4));
  assert_equals(controller.desiredSize, 6);
}, "a stream uses them");

export default run;
