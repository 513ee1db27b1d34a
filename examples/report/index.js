// Counts visits, and every night sums up the day before. `nexus cron trigger report` does not wait for the night.
const TABLE = "CREATE TABLE IF NOT EXISTS visits (day TEXT, path TEXT, count INTEGER, PRIMARY KEY (day, path)) WITHOUT ROWID";
const VISIT = `INSERT INTO visits VALUES (date('now'), ?, 1) ON CONFLICT DO UPDATE SET count = count + 1`;
const SUM = "SELECT path, count FROM visits WHERE day = ? ORDER BY count DESC, path LIMIT 10";

let ready;

export default {
  async fetch(request, { DB, REPORTS }) {
    const { pathname } = new URL(request.url);
    const [, day] = /^\/reports\/(\d{4}-\d{2}-\d{2})$/.exec(pathname) ?? [];
    if (day) return new Response(await REPORTS.get(day, "stream") ?? "no report of that day\n");
    await (ready ??= DB.exec(TABLE));
    await DB.prepare(VISIT).bind(pathname).run();
    return new Response("counted\n");
  },

  // The day that a run is for is that before the time it was due at, however late it comes.
  async scheduled(controller, { DB, REPORTS }) {
    const day = new Date(controller.scheduledTime - 24 * 3600_000).toISOString().slice(0, 10);
    await (ready ??= DB.exec(TABLE));
    const { results } = await DB.prepare(SUM).bind(day).all();
    const lines = results.map(({ path, count }) => `${String(count).padStart(8)}  ${path}\n`);
    await REPORTS.put(day, `Visits of ${day}\n${lines.join("") || "none\n"}`);
    console.log(`reported ${results.length} pages of ${day}`);
  },
};
