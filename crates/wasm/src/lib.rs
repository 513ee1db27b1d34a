//! WebAssembly guests: components in Wasmtime behind the [`Engine`](nexus_guest::Engine) and
//! [`Guest`](nexus_guest::Guest) traits.
//!
//! ```text
//! engine     makes guests: reads the file, has it compiled, links what it may import
//! runtime    one Wasmtime engine for the process, its allocator and its linker
//! inspect    what a file is, imports and exports
//! compile    from bytes to code, on threads of its own, or from the cache
//! cache      compiled code on disk
//! guest      an app on its worker's thread: a task for each request, turns, stops
//! tasks      the tasks and their wakers
//! exchange   one request: an instance of its own, its body
//! room       an instance that serves several requests at once
//! service    a call of WASI 0.3
//! answer     its response: gathered, or streamed
//! outgoing   requests that it sends
//! hooks      what `wasi:http` asks its host
//! sockets    sockets and name look-ups, as far as they are granted
//! state      what an instance's store holds: WASI, resources, limits
//! account    CPU time and memory
//! output     standard output and error as lines of the log
//! author     who is told of what is denied, and in which words
//! command    programs that run once: `nexus run`, and the same from Rust
//! ```
//!
//! Unlike a JavaScript guest, which is one heap for all requests, each request has an instance and a memory of its own
//! (or one that others had before it, where the manifest says so). So a request that comes to a limit, or traps, is
//! stopped alone.

mod account;
mod answer;
mod author;
mod bound;
mod cache;
mod command;
mod compile;
mod config;
mod engine;
mod error;
mod exchange;
mod guest;
mod hooks;
mod inspect;
mod keyvalue;
mod outgoing;
mod output;
mod room;
mod runtime;
mod service;
mod shared;
mod sockets;
mod sql;
mod state;
mod tail;
mod tasks;

pub use command::{
    Command, Compiled, FileKind, Folder, Function, Instance, Item, Module, Policy, RunError, Runner, Value,
    WasmParams, WasmResults,
};
pub use engine::{WasmConfig, WasmEngine};

/// The version of Wasmtime that this was built with, `48.0.8` say.
pub fn wasmtime_version() -> &'static str {
    // It is pinned in the workspace's manifest, and does not tell itself.
    "48.0.8"
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_version_is_the_one_that_is_locked() {
        let lock = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock");
        let lock = std::fs::read_to_string(lock).unwrap();
        let entry = format!("name = \"wasmtime\"\nversion = \"{}\"\n", super::wasmtime_version());
        assert!(lock.contains(&entry), "{entry}");
    }
}
