// A to-do list: GET, POST, PUT and DELETE of /api/items, kept in a database; the page is in public/.
const TABLE = `CREATE TABLE IF NOT EXISTS items (
  id INTEGER PRIMARY KEY, text TEXT NOT NULL CHECK (length(text) BETWEEN 1 AND 200), done INTEGER NOT NULL DEFAULT 0
)`;

// The first request to this worker makes the table, where there is none.
let ready;

async function items(request, { DB }, id) {
  switch (request.method) {
    case "GET": {
      const { results } = await DB.prepare("SELECT id, text, done FROM items ORDER BY done, id").all();
      return Response.json(results);
    }
    case "POST": {
      const { text } = await request.json();
      const added = DB.prepare("INSERT INTO items (text) VALUES (?) RETURNING id, text, done");
      return Response.json(await added.bind(text).first(), { status: 201 });
    }
    case "PUT": {
      const { done } = await request.json();
      const { meta } = await DB.prepare("UPDATE items SET done = ? WHERE id = ?").bind(Boolean(done), id).run();
      return new Response(null, { status: meta.changes ? 204 : 404 });
    }
    case "DELETE": {
      // Without an id, all that is done.
      const gone = id === null
        ? DB.prepare("DELETE FROM items WHERE done")
        : DB.prepare("DELETE FROM items WHERE id = ?").bind(id);
      const { meta } = await gone.run();
      return Response.json({ deleted: meta.changes });
    }
    default:
      return new Response(null, { status: 405, headers: { allow: "GET, POST, PUT, DELETE" } });
  }
}

export default {
  async fetch(request, env) {
    const path = new URLPattern({ pathname: "/api/items{/:id(\\d+)}?" }).exec(request.url);
    if (path === null) return new Response("no such page\n", { status: 404 });
    try {
      await (ready ??= env.DB.exec(TABLE));
      return await items(request, env, path.pathname.groups.id ?? null);
    } catch (error) {
      // A constraint that does not hold, a body that is no JSON: the client's mistake.
      if (error.code === "EINVAL" || error instanceof SyntaxError) return new Response(`${error.message}\n`, { status: 400 });
      throw error;
    }
  },
};
