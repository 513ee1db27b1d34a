import { burn } from "./burn.js";
import { quiet } from "./quiet.js";

const [port] = Deno.args;
Deno.serve({ hostname: "127.0.0.1", port: Number(port), onListen() {} },
  (request) => (new URL(request.url).pathname === "/burn" ? burn() : quiet()));
