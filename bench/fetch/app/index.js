import { handle } from "./tasks.js";

export default { fetch: (request, env) => handle(request, env.ORIGIN) };
