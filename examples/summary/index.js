// Asks three servers at once and answers with what they said. One that fails or is slow does not hold up the others.
export default {
  async fetch(request, env) {
    const sources = env.SOURCES.split(" ");
    const signal = AbortSignal.any([request.signal, AbortSignal.timeout(1000)]);
    const answers = await Promise.allSettled(sources.map((source) => ask(source, signal)));
    const summary = answers.map(({ status, value, reason }, i) =>
      status === "fulfilled" ? { source: sources[i], ...value } : { source: sources[i], error: told(reason) },
    );
    return Response.json(summary, { status: summary.some((part) => !part.error) ? 200 : 502 });
  },
};

async function ask(source, signal) {
  const response = await fetch(source, { signal });
  if (!response.ok) {
    // A body that nobody wants is given up, so that its connection is free again.
    await response.body?.cancel();
    return { error: `status ${response.status}` };
  }
  const isJson = response.headers.get("content-type")?.startsWith("application/json");
  return { body: isJson ? await response.json() : await response.text() };
}

function told(error) {
  console.warn(error.message);
  return error.cause?.code ?? error.name;
}
