export function path(request) {
  return new URL(request.url).pathname;
}
