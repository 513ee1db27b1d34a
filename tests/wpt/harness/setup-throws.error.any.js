setup(() => {
  throw new Error("in the set-up");
});
