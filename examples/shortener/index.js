// A URL shortener: POST a URL and get a short link, which redirects there for a month.
const MONTH = 30 * 24 * 3600;

async function shorten(request, { LINKS }) {
  const target = URL.parse(await request.text());
  if (target === null || !target.protocol.startsWith("http")) {
    return new Response("send the URL as the body\n", { status: 400 });
  }
  for (;;) {
    const id = Array.from(crypto.getRandomValues(new Uint8Array(6)), (byte) => (byte % 36).toString(36)).join("");
    // Only if nobody has this one: two requests may have had the same idea.
    const { ok } = await LINKS.atomic()
      .check({ key: id, version: null })
      .put(id, target.href, { expirationTtl: MONTH, metadata: { made: new Date().toISOString() } })
      .commit();
    if (ok) return new Response(`${new URL(`/${id}`, request.url)}\n`, { status: 201 });
  }
}

async function list({ LINKS }, cursor) {
  const page = await LINKS.list({ limit: 100, cursor });
  const links = page.keys.map(({ name, metadata, expiration }) => ({ id: name, ...metadata, expiration }));
  return Response.json({ links, next: page.cursor ?? null });
}

export default {
  async fetch(request, env) {
    const { pathname, searchParams } = new URL(request.url);
    if (request.method === "POST" && pathname === "/") return shorten(request, env);
    if (pathname === "/") return list(env, searchParams.get("cursor"));
    const target = await env.LINKS.get(pathname.slice(1));
    return target === null ? new Response("no such link\n", { status: 404 }) : Response.redirect(target, 302);
  },
};
