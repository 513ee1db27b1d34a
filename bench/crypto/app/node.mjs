import { createServer } from "node:http";
import { readFileSync } from "node:fs";

// The file has no package.json that would make it a module to Node.js.
const source = readFileSync(new URL("./nexus/tasks.js", import.meta.url));
const { perform } = await import(`data:text/javascript;base64,${source.toString("base64")}`);
createServer(async (request, response) => {
  try {
    response.end(String(await perform(request.url)));
  } catch (error) {
    response.writeHead(500).end(String(error));
  }
}).listen(Number(process.argv[2]), "127.0.0.1");
