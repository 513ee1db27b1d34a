// GET /books/dune
import { books } from "./books.js";

export default {
  fetch(request, env, ctx) {
    const book = books.get(ctx.params.id);
    if (!book) return Response.json({ error: `there is no book ${ctx.params.id}` }, { status: 404 });
    return Response.json(book);
  },
};
