// The side of nexus: see `exchange.js` and `tools/check_crypto.py`.
import { check, produce } from "./exchange.js";

export default {
  async fetch(request) {
    return Response.json(request.method === "POST" ? await check(await request.json()) : await produce());
  },
};
