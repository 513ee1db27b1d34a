// Computes as much as it is asked to: in one turn, or in a hundred with an await between them.
const TURNS = 100;

let sink = 1;

function unit() {
  for (let i = 0; i < 20_000; i++) sink = (Math.imul(sink, 1664525) + 1013904223) | 0;
}

// Has it compiled and optimised before it is measured.
const until = performance.now() + 150;
while (performance.now() < until) unit();

export default {
  async fetch(request) {
    const { pathname, searchParams } = new URL(request.url);
    const units = Number(searchParams.get("units"));
    if (pathname === "/spread") {
      for (let turn = 0; turn < TURNS; turn++) {
        await new Promise((resolve) => setTimeout(resolve, 0));
        const end = Math.round((units * (turn + 1)) / TURNS);
        for (let i = Math.round((units * turn) / TURNS); i < end; i++) unit();
      }
    } else {
      for (let i = 0; i < units; i++) unit();
    }
    return new Response(`${sink}\n`);
  },
};
