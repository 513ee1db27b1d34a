// An app of the churn. The query says what to do; every answer says which app gave it, in which version, to which
// request. What stands between @ is filled in.
import { MARK as SECOND } from "./second.js";

const APP = "@APP@";
const FIRST = "@MARK@";
const encoder = new TextEncoder();
let served = 0;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const deeper = (n) => deeper(n + 1) + 1;

/** Lines at a pace, and an error in place of the last one if it is to be cut. */
function lines(line, count, pace, isCut) {
  let n = 0;
  return new ReadableStream({
    async pull(controller) {
      if (n === count) return controller.close();
      if (pace) await sleep(pace);
      if (isCut && n === count - 1) return controller.error(new Error("cut on purpose"));
      controller.enqueue(encoder.encode(`${line} ${n++}\n`));
    },
  });
}

async function adler32(body) {
  let a = 1, b = 0, length = 0;
  for await (const part of body) {
    length += part.length;
    for (const byte of part) {
      a = (a + byte) % 65521;
      b = (b + a) % 65521;
    }
  }
  return `${length} ${b * 65536 + a}`;
}

const tasks = {
  plain: () => "",
  async slow({ ms }) {
    await sleep(Number(ms));
    return "";
  },
  tail({ ms }, request, ctx) {
    ctx.waitUntil(sleep(Number(ms)));
    return "";
  },
  large: ({ count }, request, ctx, line) => `${line}\n`.repeat(Number(count)),
  stream: ({ count, ms }, request, ctx, line) => lines(line, Number(count), Number(ms), false),
  cut: ({ count, ms }, request, ctx, line) => lines(line, Number(count), Number(ms), true),
  echo: (query, request) => request.body,
  digest: (query, request) => adler32(request.body),
  cpu() {
    for (;;);
  },
  memory() {
    const kept = [];
    for (;;) kept.push(new Array(1000).fill(kept.length));
  },
  throw() {
    throw new Error("thrown on purpose");
  },
  recursion: () => String(deeper(0)),
};

export default {
  async fetch(request, env, ctx) {
    const query = Object.fromEntries(new URL(request.url).searchParams);
    const mark = `${FIRST}.${SECOND}.${env.MARK}`;
    const line = `${APP} ${mark} ${query.nonce}`;
    const body = await tasks[query.do](query, request, ctx, line);
    return new Response(body === "" ? `${line}\n` : body, {
      headers: { "x-app": APP, "x-mark": mark, "x-nonce": query.nonce, "x-request": ctx.requestId, "x-served": String(++served) },
    });
  },
};
