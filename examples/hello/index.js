// The smallest app: a folder with an index.js, and no manifest.
export default {
  fetch(request) {
    const { pathname } = new URL(request.url);
    return new Response(`Hello from ${pathname}\n`);
  },
};
