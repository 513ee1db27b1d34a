// How long V8 takes to call a WebAssembly function from JavaScript and come back: prints `call_ns NUMBER`.
// The module is the one that crates/wasm/examples/costs.rs calls: add(i32, i32) -> i32.
const bytes = [
  0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, // the head
  1, 7, 1, 0x60, 2, 0x7f, 0x7f, 1, 0x7f, // a type: (i32, i32) -> i32
  3, 2, 1, 0, // one function of it
  7, 7, 1, 3, 0x61, 0x64, 0x64, 0, 0, // exported as `add`
  10, 9, 1, 7, 0, 0x20, 0, 0x20, 1, 0x6a, 0x0b, // local.get 0, local.get 1, i32.add
];
const { add } = new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array(bytes))).exports;

const count = process.argv[2] === "--quick" ? 10_000 : 10_000_000;
let sum = 0;

function run() {
  const begun = process.hrtime.bigint();
  for (let i = 0; i < count / 10; i++) {
    sum = add(sum, 1);
  }
  return Number(process.hrtime.bigint() - begun) / (count / 10);
}

// The fastest of ten runs, after those in which it is compiled.
for (let i = 0; i < 10; i++) {
  run();
}
const times = Array.from({ length: 10 }, run);
if (sum !== count * 2) {
  throw new Error(`the sum is ${sum}`);
}
console.log(`call_ns ${Math.min(...times).toFixed(3)}`);
