import { createServer } from "node:http";

import { burn } from "./burn.js";

createServer((request, response) => {
  if (request.url === "/burn") burn();
  response.end("quiet\n");
}).listen(Number(process.argv[2]), "127.0.0.1");
