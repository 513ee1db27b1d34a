// Greets as HTML. The greeting itself is made by another app, which is a C program compiled to WebAssembly.
const escape = (text) => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

export default {
  async fetch(request, { GREETINGS }) {
    const name = new URL(request.url).searchParams.get("name") ?? "world";
    // Of the URL the other app sees all; that it is asked says the binding, not the host in it.
    const answer = await GREETINGS.fetch(`http://greetings/greet?${new URLSearchParams({ name })}`);
    if (!answer.ok) return new Response(`the other app answered ${answer.status}\n`, { status: 502 });
    const { greeting } = await answer.json();
    return new Response(`<!doctype html><h1>${escape(greeting)}</h1>\n`, { headers: { "content-type": "text/html; charset=utf-8" } });
  },
};
