// Labels, continue and finally that swallow each other's ends.
//
// Tries: to make a termination look like a break that finally overrides.
// Must: be stopped all the same.
//
// @status 503
// @limit cpu
// @stop cpu

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    outer: for (;;) {
      try {
        inner: for (;;) {
          try {
            for (;;) if (Math.random() > 2) break inner;
          } finally {
            continue outer;
          }
        }
      } finally {
        continue;
      }
    }
  },
};
