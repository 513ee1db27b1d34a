import { handle } from "./tasks.js";

const [port, origin] = Deno.args;
Deno.serve({ hostname: "127.0.0.1", port: Number(port), onListen() {} }, (request) => handle(request, origin));
