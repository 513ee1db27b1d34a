// Makes `nexus`, the internal registry through which the files of this folder find each other and their native
// functions. Guests never see it.
(function () {
  "use strict";
  const { defineProperty, getOwnPropertyDescriptor } = Object;
  const nexus = {
    __proto__: null,
    // Native functions; filled when an isolate has been made from the snapshot.
    ops: { __proto__: null },

    // Defines a global as Web IDL has them: writable, configurable, not enumerable.
    define(name, value) {
      defineProperty(globalThis, name, { __proto__: null, value, writable: true, configurable: true, enumerable: false });
    },

    // Has `files` run, in order, when one of `names` is first used.
    lazy(files, names) {
      // Of `files`, how many have run. Each defines its names anew, over these accessors.
      let loaded = 0;
      const load = () => {
        while (loaded < files.length) {
          nexus.ops.loadLazy(files[loaded])(nexus);
          loaded++;
        }
      };
      for (let i = 0; i < names.length; i++) {
        const internal = names[i].startsWith("nexus.");
        const name = internal ? names[i].slice(6) : names[i];
        const target = internal ? nexus : globalThis;
        const set = (value) => {
          defineProperty(target, name, { __proto__: null, value, writable: true, configurable: true, enumerable: internal });
        };
        const get = () => {
          load();
          // A guest that ran out of stack half-way gets an error, and the next attempt goes on from there.
          if (getOwnPropertyDescriptor(target, name)?.get === get) throw new TypeError(`${name} cannot be loaded`);
          return target[name];
        };
        defineProperty(target, name, { __proto__: null, get, set, configurable: true, enumerable: internal });
      }
    },
  };

  // Memory shared between threads is not for guests, nor V8's own console, nor shadow realms' like.
  delete globalThis.SharedArrayBuffer;
  delete Atomics.wait;
  delete Atomics.waitAsync;
  delete globalThis.console;
  // V8 puts these into each context anew, and not into the one of the snapshot. See wasm.js and structured_clone.js.
  nexus.takeLate = () => {
    nexus.builtins.clonable.views.Float16Array = globalThis.Float16Array;
    nexus.nativeWebAssembly = globalThis.WebAssembly;
    nexus.lazy(["wasm.js"], ["WebAssembly", "nexus.compileError"]);
  };
  return nexus;
})
