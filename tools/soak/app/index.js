// Writes what it is told to, answers when that is kept, and reads all of it back.

const key = (seq, part) => `${String(seq).padStart(8, "0")}.${part}`;
const insert = (DB, seq, part, value) =>
  DB.prepare("INSERT INTO writes (seq, part, value) VALUES (?, ?, ?)").bind(seq, part, value);

const writes = {
  put: ({ KV }, seq, [value]) => KV.put(key(seq, 0), value),
  atomic: async ({ KV }, seq, values) => {
    const together = KV.atomic();
    values.forEach((value, part) => together.put(key(seq, part), value));
    if (!(await together.commit()).ok) throw new Error("a transaction without a check was refused");
  },
  insert: ({ DB }, seq, [value]) => insert(DB, seq, 0, value).run(),
  batch: ({ DB }, seq, values) => DB.batch(values.map((value, part) => insert(DB, seq, part, value))),
};

const paths = {
  "/begin": async ({ DB }) => {
    await DB.exec("CREATE TABLE IF NOT EXISTS writes (seq INTEGER, part INTEGER, value TEXT NOT NULL, PRIMARY KEY (seq, part))");
  },
  "/write": async (env, { kind, seq, values }) => {
    await writes[kind](env, seq, values);
  },
  // Has answered when both stores are open.
  "/ready": async ({ KV, DB }) => {
    await KV.get("nothing");
    await DB.prepare("SELECT seq FROM writes LIMIT 1").first();
  },
  "/kv": async ({ KV }, { cursor }) => {
    const page = await KV.list({ limit: 100, cursor: cursor ?? undefined });
    const values = await KV.get(page.keys.map(({ name }) => name));
    const entries = [...values].map(([name, value]) => [...name.split(".").map(Number), value]);
    return { entries, cursor: page.list_complete ? null : page.cursor };
  },
  "/sql": async ({ DB }, { cursor }) => {
    const entries = await DB.prepare("SELECT seq, part, value FROM writes WHERE (seq, part) > (?, ?) ORDER BY seq, part LIMIT 200")
      .bind(...(cursor ?? [-1, 0])).raw();
    return { entries, cursor: entries.length < 200 ? null : entries.at(-1).slice(0, 2) };
  },
  "/integrity": async ({ DB }) => (await DB.prepare("PRAGMA integrity_check").raw()).flat().join("; "),
};

export default {
  async fetch(request, env) {
    try {
      const told = await paths[new URL(request.url).pathname](env, await request.json());
      return Response.json({ told });
    } catch (error) {
      return Response.json({ code: error.code ?? null, error: String(error) }, { status: 500 });
    }
  },
};
