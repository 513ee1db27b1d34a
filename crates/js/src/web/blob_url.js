// blob: URLs. https://w3c.github.io/FileAPI/#url
//
// They are the guest's own: nobody else can ask for them, and they last until they are revoked or the guest ends.
(function (nexus) {
  "use strict";
  const { ops } = nexus;
  const { usvString, SafeMap } = nexus.webidl;
  const { slice, indexOf } = nexus.builtins.string;
  const urls = new SafeMap();

  // A version 4 UUID (RFC 9562), of random digits.
  const uuid = () => {
    const digits = ops.formBoundary();
    const variant = "89ab"[indexOf("0123456789abcdef", digits[16]) & 3];
    const parts = [
      slice(digits, 0, 8), slice(digits, 8, 12), `4${slice(digits, 13, 16)}`, variant + slice(digits, 17, 20), slice(digits, 20, 32),
    ];
    return `${parts[0]}-${parts[1]}-${parts[2]}-${parts[3]}-${parts[4]}`;
  };

  nexus.blobUrls = {
    __proto__: null,
    create(blob) {
      if (!nexus.isBlob(blob)) throw new TypeError("URL.createObjectURL: the object is not a Blob");
      const url = `blob:null/${uuid()}`;
      urls.set(url, blob);
      return url;
    },
    revoke(url) {
      url = usvString(url);
      const hash = indexOf(url, "#");
      urls.delete(hash < 0 ? url : slice(url, 0, hash));
    },
    /** The blob of a URL without its fragment, if there is one. */
    resolve: (url) => urls.get(url),
  };
})
