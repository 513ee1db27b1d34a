// Computes as long as it may: a little less than its CPU limit for each request.
export function burn() {
  const until = performance.now() + 40;
  let sink = 1;
  while (performance.now() < until) for (let i = 0; i < 1000; i++) sink = (Math.imul(sink, 1664525) + 1013904223) | 0;
  return new Response(`${sink}\n`);
}

export default { fetch: burn };
