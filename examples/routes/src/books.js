// All modules of an app run in the same worker, and share what they import.
export const books = new Map([
  ["dune", { title: "Dune", author: "Frank Herbert" }],
  ["solaris", { title: "Solaris", author: "Stanisław Lem" }],
]);
