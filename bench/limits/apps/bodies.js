// Reads what it is sent, and sends more than anybody reads.
const chunk = new Uint8Array(64 * 1024);

export default {
  async fetch(request) {
    if (request.method === "POST") {
      let length = 0;
      for await (const part of request.body) length += part.length;
      return new Response(`${length}\n`);
    }
    return new Response(new ReadableStream({
      async pull(controller) {
        await new Promise((resolve) => setTimeout(resolve, 1));
        controller.enqueue(chunk);
      },
    }));
  },
};
