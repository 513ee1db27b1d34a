// Answers, and does nothing else.
export function quiet() {
  return new Response("quiet\n");
}

export default { fetch: quiet };
