// The one app that every runtime serves: it parses the URL and answers text with one header.
export function handle(request) {
  const url = new URL(request.url);
  return new Response(`Hello from ${url.pathname}\n`, { headers: { "content-type": "text/plain" } });
}
