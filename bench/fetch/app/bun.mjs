import { handle } from "./tasks.js";

const [port, origin] = process.argv.slice(2);
Bun.serve({ hostname: "127.0.0.1", port: Number(port), idleTimeout: 120, fetch: (request) => handle(request, origin) });
