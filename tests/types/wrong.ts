// Each line from here on has one mistake, which TypeScript is to find.
document.title = "no browser";
fetch("https://localhost/", { redirect: "sideways" });
process.exit();
new Event();
new Headers(5);
new Response(5);
const handler: ExportedHandler = { fetch: () => 5 };
const length: string = new TextEncoder().encode("x").length;
performance.now("x");
console.nothing();
export const put = (kv: KVNamespace) => kv.put("a", 5);
export const got = async (kv: KVNamespace) => (await kv.get("a")).length;
export const bound = (db: Database) => db.prepare("SELECT ?").bind({});
export const called = (other: Fetcher) => other.get("http://other/");
export const night: ScheduledHandler = { scheduled: (controller) => controller.time };
