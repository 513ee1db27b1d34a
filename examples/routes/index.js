// What no route of nexus.toml matches.
import { books } from "./src/books.js";

export default {
  fetch(request) {
    if (new URL(request.url).pathname === "/") return Response.json([...books.keys()]);
    return Response.json({ error: "there is nothing here" }, { status: 404 });
  },
};
