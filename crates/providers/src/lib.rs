//! What carries capabilities out: the client behind the requests that guests send.
//!
//! ```text
//! Outbound (process)  ── http() ─►  Client (guest)  ── send() ─►  a Place of the Pool: one scheme, host and port
//!   CA certificates,                  policy, limits,               idle connections, a queue of those that wait
//!   roots on first use                resolver and TLS                   │
//!                                     on first use        decide, look up, decide, connect, TLS, HTTP/1 or HTTP/2
//! ```
//!
//! There is a client for each guest that is loaded: one for a worker that keeps its guest, one for each request with
//! `isolation = "request"`. All but [`Outbound`] lives on one worker's thread. Connections are tasks of the worker's
//! event loop, which end when whoever uses them is dropped: the client for those that are idle, a response for its own.

mod body;
mod client;
mod connect;
mod dial;
mod evict;
mod fault;
mod h1;
mod h2;
mod head;
pub mod kv;
mod lane;
mod outbound;
mod place;
mod pool;
mod providers;
mod resolve;
mod slot;
pub mod sql;
mod storage;
mod stream;
mod tasks;
mod tls;
mod upload;
mod watcher;
mod work;

pub use outbound::Outbound;
pub use providers::Providers;
