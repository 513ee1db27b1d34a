// A JSON API in two modules. Notes live as long as the app's worker.
import { NotFound, Notes } from "./notes.js";
import seed from "./seed.json" with { type: "json" };

const notes = new Notes(seed);

async function route(request, env) {
  const { pathname } = new URL(request.url);
  const id = pathname.match(/^\/notes\/(\d+)$/)?.[1];

  if (pathname === "/") return Response.json({ message: env.GREETING, notes: notes.size });
  if (pathname === "/notes" && request.method === "GET") return Response.json(notes.all());
  if (pathname === "/notes" && request.method === "POST") {
    const note = notes.add(await request.json());
    console.log("added note", note.id);
    return Response.json(note, { status: 201, headers: { location: `/notes/${note.id}` } });
  }
  if (id && request.method === "GET") return Response.json(notes.get(Number(id)));
  if (id && request.method === "DELETE") {
    notes.delete(Number(id));
    return new Response(null, { status: 204 });
  }
  throw new NotFound(pathname);
}

export default {
  async fetch(request, env) {
    try {
      return await route(request, env);
    } catch (error) {
      if (error instanceof NotFound) return Response.json({ error: `${error.message} is not there` }, { status: 404 });
      if (error instanceof SyntaxError) return Response.json({ error: "the body is not JSON" }, { status: 400 });
      if (error instanceof TypeError) return Response.json({ error: error.message }, { status: 400 });
      throw error;
    }
  },
};
