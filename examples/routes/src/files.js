// GET /files/a/b: the rest of the path, as it is in the URL.
export default {
  fetch: (request, env, ctx) => new Response(`you asked for ${ctx.params["*"]}\n`),
};
