const fire = (target, ...types) => {
  for (const type of types) target.dispatchEvent(new Event(type));
};
promise_test(async (t) => {
  const target = new EventTarget();
  const watcher = new EventWatcher(t, target, ["a", "b"]);
  const first = watcher.wait_for("a");
  fire(target, "a");
  assert_equals((await first).type, "a");
  const all = watcher.wait_for(["b", "a"], { record: "all" });
  fire(target, "b", "a");
  assert_array_equals((await all).map((event) => event.type), ["b", "a"]);
  watcher.stop_watching();
  fire(target, "b");
}, "EventWatcher waits for events in order");
promise_test(async (t) => {
  const target = new EventTarget();
  const watcher = new EventWatcher(t, target, "a");
  watcher.wait_for("a");
  await promise_rejects_exactly(t, "Already waiting for an event or events", watcher.wait_for("a"));
}, "EventWatcher waits for one thing at a time");
promise_test(async (t) => {
  const target = new EventTarget();
  new EventWatcher(t, target, "a");
  fire(target, "a");
}, "fails: an event that nobody waits for");
promise_test(async (t) => {
  const target = new EventTarget();
  const watcher = new EventWatcher(t, target, ["a", "b"]);
  watcher.wait_for("a");
  fire(target, "b");
}, "fails: another event than the one waited for");
