// Makes `nexus`, the internal registry through which the files of this folder find each other and their native
// functions. Guests never see it.
(function () {
  "use strict";
  const { defineProperty, setPrototypeOf, deleteProperty } = Reflect;
  const { getOwnPropertyDescriptor } = Object;
  // For each group of lazy files, what runs them.
  const groups = [];
  // What lazy files have defined: a guest may have made the global object's properties such that they stay as they are.
  const defined = { __proto__: null };
  // Where a lazy name is read while its file runs.
  const PENDING = { __proto__: null };
  let running = 0;

  const nexus = {
    __proto__: null,
    // Native functions; filled when an isolate has been made from the snapshot.
    ops: { __proto__: null },

    // Defines a global as Web IDL has them: writable, configurable, and enumerable if it is an operation.
    define(name, value, enumerable = false) {
      if (running > 0) {
        const held = getOwnPropertyDescriptor(globalThis, name);
        defined[name] = value;
        // The guest has deleted or replaced it before it was used.
        if (held === undefined || held.value !== PENDING) return;
      }
      defineProperty(globalThis, name, { __proto__: null, value, writable: true, configurable: true, enumerable });
    },

    // Has `files` run, in order, when one of `names` is first used: of the internal ones here, of the globals when V8
    // reads the property that the host defines with the number that is returned.
    lazy(files, names) {
      // Of `files`, how many have run. Each defines its names anew.
      let loaded = 0;
      const load = () => {
        if (loaded === files.length) return;
        running++;
        try {
          while (loaded < files.length) {
            nexus.ops.loadLazy(files[loaded])(nexus);
            loaded++;
          }
        } finally {
          running--;
        }
      };
      for (let i = 0; i < names.length; i++) {
        if (!names[i].startsWith("nexus.")) continue;
        const name = names[i].slice(6);
        const set = (value) => {
          defineProperty(nexus, name, { __proto__: null, value, writable: true, configurable: true, enumerable: true });
        };
        const get = () => {
          load();
          // A guest that ran out of stack half-way gets an error, and the next attempt goes on from there.
          if (getOwnPropertyDescriptor(nexus, name)?.get === get) throw new TypeError(`${name} cannot be loaded`);
          return nexus[name];
        };
        defineProperty(nexus, name, { __proto__: null, get, set, configurable: true, enumerable: true });
      }
      groups[groups.length] = load;
      return groups.length - 1;
    },
    // The value of a lazy global.
    loadGlobal(group, name) {
      if (running > 0) return name in defined ? defined[name] : PENDING;
      groups[group]();
      if (!(name in defined)) throw new TypeError(`${name} cannot be loaded`);
      return defined[name];
    },

    // Between the global object and Object.prototype; `joinEventTarget` puts EventTarget's prototype behind it. Until then
    // it has the methods' names, lazily.
    scopePrototype: {},
    joinEventTarget(prototype, names) {
      for (let i = 0; i < names.length; i++) {
        defined[names[i]] = prototype[names[i]];
        deleteProperty(nexus.scopePrototype, names[i]);
      }
      setPrototypeOf(nexus.scopePrototype, prototype);
    },

    // Operations and attributes of the global object are called with it or with nothing.
    checkGlobal(self) {
      if (self !== undefined && self !== null && self !== globalThis) throw new TypeError("Illegal invocation");
    },
  };

  setPrototypeOf(globalThis, nexus.scopePrototype);
  // Memory shared between threads is not for guests, nor V8's own console, nor shadow realms' like.
  delete globalThis.SharedArrayBuffer;
  delete Atomics.wait;
  delete Atomics.waitAsync;
  delete globalThis.console;
  // V8 puts these into each context anew, and not into the one of the snapshot. See wasm.js and structured_clone.js.
  // Gives the number of the group that defines WebAssembly.
  nexus.takeLate = () => {
    nexus.builtins.clonable.views.Float16Array = globalThis.Float16Array;
    nexus.nativeWebAssembly = globalThis.WebAssembly;
    return nexus.lazy(["wasm.js"], ["WebAssembly", "nexus.compileError"]);
  };
  return nexus;
})
