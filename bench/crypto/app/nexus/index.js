import { handle } from "./tasks.js";

export default { fetch: handle };
