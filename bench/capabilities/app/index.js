// What `./x bench-capabilities` asks for. A path is a task, how many calls its mean is of, how many its 99th percentile, and
// where it is asked over loopback the port.
const VALUE = "x".repeat(100);
const KEYS = 10_000;
const TOGETHER = 64;
// Calls that are short beside the clock's steps are timed in groups, too.
const SHORT = ["nothing", "get", "select"];
const GROUP = 50;
// Calls, by their names: each takes what the app has, its number, and the port.
const CALLS = {
  nothing: () => null,
  get: ({ KV }, i) => KV.get(`key${i % KEYS}`),
  put: ({ KV }, i) => KV.put(`key${i % KEYS}`, VALUE),
  select: ({ DB }, i) => DB.prepare("SELECT v FROM t WHERE id = ?").bind(i % KEYS).first("v"),
  insert: ({ DB }) => DB.prepare("INSERT INTO u (v) VALUES (?)").bind(VALUE).run(),
  call: async ({ CALLEE }) => (await CALLEE.fetch("http://callee/")).text(),
  http: async (_, i, port) => (await fetch(`http://127.0.0.1:${port}/`)).text(),
};
// A call, and whether many are under way at once.
const TASKS = {
  nothing: ["nothing"], get: ["get"], put: ["put"], puts: ["put", true], select: ["select"], insert: ["insert"],
  inserts: ["insert", true], call: ["call"], call64: ["call", true], http: ["http"], http64: ["http", true],
};
// What the calls have to come to, where that is the same for all.
const EXPECTED = { get: VALUE, select: VALUE, call: "abc", http: "abc" };

const percentile = (share) => (values) => values.sort((a, b) => a - b)[Math.floor(values.length * share)];
const median = percentile(0.5);
const p99 = percentile(0.99);

async function fill({ KV, DB }) {
  for (let i = 0; i < KEYS; i += 100) {
    const all = KV.atomic();
    for (let at = i; at < i + 100; at++) all.put(`key${at}`, VALUE);
    await all.commit();
  }
  for (const table of ["t", "u"]) await DB.exec(`CREATE TABLE ${table} (id INTEGER PRIMARY KEY, v TEXT NOT NULL)`);
  for (let i = 0; i < KEYS; i += 100) {
    const row = DB.prepare("INSERT INTO t VALUES (?, ?)");
    await DB.batch(Array.from({ length: 100 }, (_, at) => row.bind(i + at, VALUE)));
  }
}

/** Does the calls one after the other. */
async function inOrder(act, count) {
  for (let i = 0; i < count; i++) await act(i);
}

/** Does the calls, as many at once as there may be. */
async function atOnce(act, count) {
  let i = 0;
  const some = async () => {
    while (i < count) await act(i++);
  };
  await Promise.all(Array.from({ length: TOGETHER }, some));
}

/** Waits for the clock's next step: when that is, and how often it was looked at. */
function nextStep() {
  const from = performance.now();
  let now, looks = 0;
  do {
    now = performance.now();
    looks++;
  } while (now === from);
  return { now, looks };
}

/**
 * The 99th percentile of the time of a call, in milliseconds: of single calls, or of the means of groups of so many. The clock
 * goes in steps of 0.1 ms: each group begins at a step, and how much of its last one is left is told by how often the clock can be
 * looked at until the next. What interrupts that counts as the call's, so single calls should be long beside it.
 */
async function p99Each(act, count, group) {
  const look = median(Array.from({ length: 500 }, () => {
    const { now } = nextStep();
    const next = nextStep();
    return (next.now - now) / next.looks;
  }));
  const took = [];
  for (let i = 0; i < count; ) {
    const begin = nextStep().now;
    for (const until = i + group; i < until; i++) await act(i);
    const end = nextStep();
    took.push(Math.max(0, end.now - begin - end.looks * look) / group);
  }
  return p99(took);
}

/** The same of calls that are under way at once, as exact as the clock. */
async function p99AtOnce(act, count) {
  const took = [];
  await atOnce(async (i) => {
    const begin = performance.now();
    await act(i);
    took.push(performance.now() - begin);
  }, count);
  return p99(took);
}

export default {
  async fetch(request, env) {
    const [, name, count, samples, port] = new URL(request.url).pathname.split("/");
    if (name === "fill") {
      await fill(env);
      return Response.json({});
    }
    const [call, together] = TASKS[name];
    const act = (i) => CALLS[call](env, i, port);
    if (call in EXPECTED && (await act(0)) !== EXPECTED[call]) throw new Error(`${name} does something else`);
    const begin = performance.now();
    await (together ? atOnce : inOrder)(act, Number(count));
    const ms = performance.now() - begin;
    const told = { us: (ms * 1000) / count, per_second: (count * 1000) / ms };
    told.p99_us = 1000 * (await (together ? p99AtOnce : p99Each)(act, Number(samples), 1));
    if (SHORT.includes(call)) told.groups_us = 1000 * (await p99Each(act, Number(count), GROUP));
    return Response.json(told);
  },
};
