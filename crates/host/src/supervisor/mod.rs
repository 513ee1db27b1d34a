//! The supervisor: a small process that holds the listening sockets and has a host at work on them, or several, each
//! with a share of the apps.
//!
//! ```text
//! nexus serve ── binds all sockets ── fork ─┬─ supervisor: waits for signals, words and deaths
//!                                           └─ host: V8, workers, everything else
//! ```
//!
//! It forks before any thread exists and before V8 is started, so that a host is an ordinary program with a short past,
//! and can be made again as often as need be. What only one process can do stays with the supervisor: it gets the
//! signals and passes them on over a pair of sockets, so that a Ctrl-C, which goes to all processes of a terminal,
//! counts once. The kernel ends a host whose supervisor is gone.
//!
//! A host that dies of a signal (or of a panic of its main thread) is followed by another one. Connections that come
//! meanwhile wait in the sockets' queues. Each host counts its workers' turns in memory that it shares with its
//! supervisor, which thereby knows who was executing. A host that ends by itself ends the supervisor, with its code.
//!
//! Where there are several hosts, each share has its own successors, replacements and waiting times, and nothing that
//! happens to one ends another: only the end of all is common.
//!
//! A host is replaced without an interruption if it asks for it, or the user does (SIGUSR2): a second one starts on the
//! same sockets, and as soon as it serves, the first one is told to hand over.

#[cfg(target_os = "linux")]
mod child;
#[cfg(target_os = "linux")]
mod link;
mod orders;
#[cfg(target_os = "linux")]
mod policy;
#[cfg(target_os = "linux")]
mod report;
#[cfg(target_os = "linux")]
mod run;
#[cfg(target_os = "linux")]
mod share;
#[cfg(target_os = "linux")]
mod sys;

#[cfg(target_os = "linux")]
pub use link::HostLink;
pub use orders::{Order, Orders};
#[cfg(target_os = "linux")]
pub use run::{Role, Settings, Supervisor, SupervisorError};
