// An app of a few files, as it is started from cold. bench/apps/cold.py puts each app's name into greeting.js.
import { greeting } from "./greeting.js";
import { headers } from "./headers.js";
import { path } from "./path.js";

export function handle(request) {
  return new Response(`${greeting()}, at ${path(request)}\n`, { headers });
}
