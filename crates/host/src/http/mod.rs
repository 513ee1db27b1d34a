//! The HTTP server: HTTP/1.1 by our own code, for it is the hot path, and HTTP/2 by hyper, both on
//! one cleartext port.
//!
//! Connections know nothing of apps, workers and guests: they hand each [`Request`] to a [`Service`]
//! and get a [`Call`] back, whose reply they pass on and whose end they report, exactly once.
//! [`serve`] runs on one worker's thread, inside a `LocalSet`; nothing here is shared between
//! threads but the table of open connections and their count.
//!
//! [`Request`]: nexus_guest::Request

mod config;
mod conn_io;
mod date;
pub(crate) mod fields;
mod forwarded;
mod h1;
mod h2;
mod identity;
mod ids;
mod listener;
mod moving;
mod open;
mod refusal;
mod service;
mod shared_id;
mod shutdown;
mod target;
mod timer;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub(crate) use config::{Maxima, ServerConfig, Trust};
pub(crate) use ids::RequestIds;
pub(crate) use listener::{Listener, Server, serve};
pub(crate) use moving::{Inbox, Moving};
pub(crate) use open::{Abandoned, OpenConnections};
pub(crate) use refusal::Refusal;
pub(crate) use refusal::{Refused, RequestLine};
pub(crate) use service::{BodyLimit, Call, CallOwner, Outcome, Service};
pub(crate) use shared_id::SharedId;
pub(crate) use shutdown::{PATIENCE, Shutdown};
pub(crate) use target::path_of;
pub(crate) use timer::Timer;
