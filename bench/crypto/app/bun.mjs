import { handle } from "./nexus/tasks.js";

Bun.serve({ hostname: "127.0.0.1", port: Number(process.argv[2]), idleTimeout: 120, fetch: handle });
