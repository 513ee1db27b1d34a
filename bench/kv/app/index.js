// What `./x bench-kv` asks for. A path is a task and how often: each call after the one before, or 64 at once.
const VALUE = "x".repeat(100);
const KEYS = 10_000;
const TASKS = {
  async fill({ KV }) {
    for (let i = 0; i < KEYS; i += 100) {
      const all = KV.atomic();
      for (let at = i; at < i + 100; at++) all.put(`key${at}`, VALUE);
      await all.commit();
    }
  },
  async nothing(env, count) {
    for (let i = 0; i < count; i++) await null;
  },
  async get({ KV }, count) {
    for (let i = 0; i < count; i++) await KV.get(`key${i % KEYS}`);
  },
  async put({ KV }, count) {
    for (let i = 0; i < count; i++) await KV.put(`key${i % KEYS}`, VALUE);
  },
  async puts({ KV }, count) {
    let i = 0;
    const some = async () => {
      while (i < count) await KV.put(`key${i++ % KEYS}`, VALUE);
    };
    await Promise.all(Array.from({ length: 64 }, some));
  },
};

export default {
  async fetch(request, env) {
    const [, task, count] = new URL(request.url).pathname.split("/");
    await TASKS[task](env, Number(count));
    return new Response(count);
  },
};
