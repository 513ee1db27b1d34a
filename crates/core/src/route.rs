//! Which app, and which of its modules, a request is for: patterns of hosts and paths, and what finds the one
//! that fits best.
//!
//! - Of the hosts, the most specific one that anything is entered for decides: the exact name, then the
//!   wildcard with the most labels, then what names no host. If none of its paths matches, no other host is
//!   asked: an app that claims `shop.example` shows nothing there that somebody else entered for any host.
//! - Of the paths, the one with the most segments wins. Among equals a literal segment comes before `:name`,
//!   and `:name` before `*`, at the first place from the left where they differ.
//!
//! A path is compared in its [normal form](normal_path), so that no way of writing it (`/a/../b`, `/%61`)
//! leads around a pattern.

mod host;
mod normal;
mod path;
mod router;
mod routes;
mod tree;

use std::fmt;

pub use host::HostPattern;
pub use normal::normal_path;
pub use path::PathPattern;
pub use router::{Conflict, Router};
pub use routes::{Route, Routes};

/// Why a text is no pattern, in one line that says how it would be one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternError(String);

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PatternError {}

fn no<T>(message: impl Into<String>) -> Result<T, PatternError> {
    Err(PatternError(message.into()))
}

/// Why a request is for nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NoRoute {
    /// Nothing is entered for the host: 421, for the request came to a server that does not answer for it
    /// (RFC 9110 section 15.5.20).
    Host,
    /// The host is known, and no pattern of its matches the path: 404.
    Path,
}

impl NoRoute {
    /// The response's status.
    pub const fn status(self) -> u16 {
        match self {
            NoRoute::Host => 421,
            NoRoute::Path => 404,
        }
    }
}

impl fmt::Display for NoRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NoRoute::Host => "no app is served under this host",
            NoRoute::Path => "no app of this host is served at this path",
        })
    }
}

impl std::error::Error for NoRoute {}
