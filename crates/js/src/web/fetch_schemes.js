// What few fetches need: data: and blob: URLs, and `integrity`.
(function (nexus) {
  "use strict";
  const { ops } = nexus;
  const { failure, withoutFragment, More } = nexus.fetched;
  const { headerGet } = nexus;
  const { BYTES, PARTS, BYTE_ARRAY, Body, consume } = nexus.body;
  const { typedLength, Bytes } = nexus.builtins;
  const { typedBuffer, typedOffset } = nexus.builtins.clonable;
  const { exec } = nexus.builtins.regexp;
  const { slice, indexOf, startsWith } = nexus.builtins.string;

  /** Whether bytes are what an `integrity` says. A piece a call, so that a guest can be stopped in between. */
  const matches = (bytes, integrity) => {
    const holder = { __proto__: null };
    const id = ops.integrityOpen(holder, integrity);
    for (let at = 0; at < typedLength(bytes); at += PIECE) digest(id, bytes, at);
    // The holder is to live until here.
    return ops.integrityClose(id, holder);
  };
  const digest = (id, bytes, at) => ops.integrityUpdate(id, bytes, at, PIECE);
  const PIECE = 256 * 1024;

  /** The response, if its body is what `integrity` says. */
  const checked = (nexus.withIntegrity = async (integrity, status, list, body, more) => {
    const bytes = await consume(body, BYTE_ARRAY, "fetch", list);
    if (!matches(bytes, integrity)) throw failure("the response's body is not what integrity says");
    return nexus.fetchedResponse(status, list, body === null ? null : new Body(BYTES, bytes), more);
  });

  /** "Scheme fetch" for all but http and https. */
  nexus.schemeFetch = async (made) => {
    const { url, method } = made;
    if (startsWith(url, "data:")) {
      const data = ops.dataUrl(withoutFragment(url));
      if (data === null) throw failure("the data: URL is invalid");
      const type = nexus.parseMimeType(data[0]);
      const more = new More("OK", withoutFragment(url), false);
      const body = method === "HEAD" ? null : new Body(BYTES, data[1]);
      const list = ["content-type", type === null ? "text/plain;charset=US-ASCII" : nexus.serializeMimeType(type)];
      const { options } = made;
      if (options === null || options.integrity === "") return nexus.fetchedResponse(200, list, body, more);
      return checked(options.integrity, 200, list, body, more);
    }
    if (startsWith(url, "blob:")) return blobFetch(made);
    throw failure(`there is no fetching of ${slice(url, 0, indexOf(url, ":") + 1)} URLs`);
  };

  /** "Scheme fetch" of blob: URLs. */
  const blobFetch = (made) => {
    const { method } = made;
    const url = withoutFragment(made.url);
    const blob = method === "GET" ? nexus.blobUrls.resolve(url) : undefined;
    if (blob === undefined) throw failure(method === "GET" ? "there is no such blob: URL" : "a blob: URL takes GET only");
    const size = nexus.blobSize(blob);
    const more = new More("OK", url, false);
    const list = ["content-length", `${size}`, "content-type", nexus.blobType(blob)];
    const range = headerGet(made.list, "range");
    if (range === null) return nexus.fetchedResponse(200, list, new Body(PARTS, nexus.blobParts(blob)), more);
    // "Parse a single range header value".
    const found = exec(SINGLE_RANGE, range);
    if (found === null || (found[1] === "" && found[2] === "")) throw failure("the range is no single range of bytes");
    const from = found[1] === "" ? (+found[2] > size ? 0 : size - found[2]) : +found[1];
    const to = found[1] === "" || found[2] === "" || +found[2] >= size ? size - 1 : +found[2];
    if (from > to) throw failure("the range has no bytes of the blob");
    const bytes = nexus.joinParts(nexus.blobParts(blob));
    const part = new Bytes(typedBuffer(bytes), typedOffset(bytes) + from, to - from + 1);
    list[1] = `${to - from + 1}`;
    list[4] = "content-range";
    list[5] = `bytes ${from}-${to}/${size}`;
    more.statusText = "Partial Content";
    return nexus.fetchedResponse(206, list, new Body(PARTS, [part]), more);
  };
  const SINGLE_RANGE = /^bytes[\t ]*=[\t ]*(\d*)[\t ]*-[\t ]*(\d*)$/;
})
