// Stands in for /common/gc.js of the web platform tests: has garbage collected.
self.garbageCollect = async () => {
  // What a script holds by its stack alone is held until the next task.
  await new Promise((resolve) => setTimeout(resolve));
  gc();
};
