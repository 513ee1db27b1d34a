// What `./x bench-fetch` asks for: the same file for all servers. `origin` is where the requests go.

const MANY = 100;
const CALLS = 2000;

export async function handle(request, origin) {
  switch (new URL(request.url).pathname) {
    // A proxy for small bodies and for a large one.
    case "/proxy":
      return fetch(`${origin}/small`);
    case "/large":
      return fetch(`${origin}/bytes/104857600`);
    // The same, read by the app.
    case "/read": {
      let length = 0;
      for await (const chunk of (await fetch(`${origin}/bytes/104857600`)).body) length += chunk.length;
      return new Response(String(length));
    }
    // Many at once, to a server that takes 100 ms for each.
    case "/parallel": {
      const one = async () => (await (await fetch(`${origin}/slow`)).text()).length;
      const lengths = await Promise.all(Array.from({ length: MANY }, one));
      return new Response(String(lengths.reduce((sum, length) => sum + length, 0)));
    }
    // One after another, on a connection that stays open.
    case "/calls": {
      let length = 0;
      for (let i = 0; i < CALLS; i++) length += (await (await fetch(`${origin}/small`)).text()).length;
      return new Response(String(length));
    }
  }
  return new Response("ready");
}
