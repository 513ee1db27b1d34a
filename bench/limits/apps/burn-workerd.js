// The same as burn.js for a runtime whose clocks stand still while code runs: a fixed amount of work, of about 40 ms.
export default {
  fetch() {
    let sink = 1;
    for (let i = 0; i < 30_000_000; i++) sink = (Math.imul(sink, 1664525) + 1013904223) | 0;
    return new Response(`${sink}\n`);
  },
};
