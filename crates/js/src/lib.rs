//! JavaScript guests: V8 isolates behind the [`Engine`](nexus_guest::Engine) and
//! [`Guest`](nexus_guest::Guest) traits.
//!
//! ```text
//! engine   makes guests: isolate from the snapshot, ops attached, modules loaded and evaluated
//! guest    one isolate on its worker's thread: turns, the event loop's JavaScript side
//! state    what the ops see of their guest: request scopes, timers, operations, services
//! web/     the Web APIs, a JavaScript file and a Rust file each
//! ```

// V8's API needs `unsafe` where it hands out memory and calls back; each use says why it is sound.
#![allow(unsafe_code)]

mod buffers;
mod code;
mod commit;
mod compiled;
mod engine;
mod exception;
mod guest;
mod isolate;
mod limits;
mod memory;
mod modules;
mod operations;
mod ops;
mod platform;
mod rejections;
mod routes;
mod scope;
mod state;
mod stop_handle;
pub mod testing;
mod timers;
mod web;

pub use engine::JsEngine;
pub use platform::{InitError, initialize, initialize_for_tests, v8_version};
pub use web::types::types;
