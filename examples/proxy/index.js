// A proxy: each request goes on to ORIGIN, and the response comes back. Bodies stream both ways and never enter JavaScript.
// Try `curl http://127.0.0.1:8084/books/dune` while the example `routes` is served, too.
export default {
  async fetch(request, env) {
    const { pathname, search } = new URL(request.url);
    const { method, headers, body, signal } = request;
    const target = new URL(pathname + search, env.ORIGIN);
    try {
      // Redirects are the client's to follow, and when it leaves, so does the request here.
      const response = await fetch(target, { method, headers, body, signal, redirect: "manual", duplex: "half" });
      const answer = new Response(response.body, response);
      answer.headers.append("via", "1.1 nexus");
      return answer;
    } catch (error) {
      console.error("the origin does not answer:", error.cause?.code, error.message);
      return new Response("The origin does not answer.\n", { status: 502 });
    }
  },
};
