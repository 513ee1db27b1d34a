// Stands in for /common/sab.js of the web platform tests: makes buffers by the name of their class.
const createBuffer = (type, length, options) => {
  if (type === "ArrayBuffer") return new ArrayBuffer(length, options);
  if (type !== "SharedArrayBuffer") throw new Error("createBuffer: no such class");
  const { buffer } = new WebAssembly.Memory({ shared: true, initial: 0, maximum: 0 });
  return new buffer.constructor(length, options);
};
