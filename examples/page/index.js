// Files in public/ are served by the host; everything else comes here.
const started = Date.now();

export default {
  fetch(request) {
    const { pathname } = new URL(request.url);
    if (pathname === "/api/uptime") return Response.json({ seconds: Math.round((Date.now() - started) / 1000) });
    return new Response("There is no such page.\n", { status: 404 });
  },
};
