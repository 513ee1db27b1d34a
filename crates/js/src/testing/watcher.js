// EventWatcher: waits for events, and fails the test at any that it did not wait for.
// https://web-platform-tests.org/writing-tests/testharness-api.html#EventWatcher
import { assert_equals, assert_true } from "./assert.js";

/** Callable only with `new`, but a function, as tests know it. */
export class EventWatcher {
  #test;
  #timeout;
  /** What is waited for: the types that are still to come, whom to tell, what came so far. */
  #waiting = null;

  constructor(test, target, types, timeout) {
    this.#test = test;
    this.#timeout = timeout;
    const all = listOf(types);
    const listener = test.step_func((event) => this.#came(event));
    for (const type of all) target.addEventListener(type, listener, false);
    this.stop_watching = () => {
      for (const type of all) target.removeEventListener(type, listener, false);
    };
    test._add_cleanup(this.stop_watching);
  }

  #came(event) {
    const waiting = this.#waiting;
    assert_true(waiting !== null, `Not expecting event, but got ${event.type} event`);
    const [type] = waiting.types;
    assert_equals(event.type, type, `Expected ${type} event, but got ${event.type} event instead`);
    waiting.events?.push(event);
    if (waiting.types.length > 1) {
      waiting.types.shift();
      return;
    }
    // Whoever is told may wait again.
    this.#waiting = null;
    waiting.resolve(waiting.events ?? event);
  }

  /** A promise of the event of this type, or the last of several, or all of them (`record: "all"`). */
  wait_for(types, options) {
    if (this.#waiting !== null) return Promise.reject("Already waiting for an event or events");
    return new Promise((resolve) => {
      const waiting = { types: [...listOf(types)], resolve, events: options?.record === "all" ? [] : null };
      this.#waiting = waiting;
      if (!this.#timeout) return;
      const late = this.#test.step_func(() => {
        if (this.#waiting !== waiting) return;
        assert_true(waiting.types.length === 0, `Timed out waiting for ${waiting.types.join(", ")}`);
      });
      this.#timeout().then(late);
    });
  }
}

function listOf(types) {
  return typeof types === "string" ? [types] : types;
}
