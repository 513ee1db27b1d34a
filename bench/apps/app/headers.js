export const headers = { "content-type": "text/plain" };
