//! Starts the real `nexus` on folders that a test writes, and talks to it over sockets.
//!
//! Nothing here waits without a deadline, and a dropped [`Nexus`] ends its own process and no other.
#![allow(dead_code, unused_imports, reason = "each test file uses a part of it")]

mod client;
mod command;
pub(crate) mod fetching;
mod folder;
mod functions;
mod load;
mod managed;
mod nexus;
pub(crate) mod outgoing;
mod upstream;

use std::time::{Duration, Instant};

pub(crate) use client::{Client, Response, split_url, until_refused};
pub(crate) use command::{Output, run};
pub(crate) use folder::Folder;
pub(crate) use functions::{error, functions, serve_functions, value};
pub(crate) use load::{await_answers, under_load};
pub(crate) use managed::Managed;
pub(crate) use nexus::{Nexus, OWN_GROUP, Start, send_signal};
pub(crate) use upstream::{Asked, Upstream};

/// How long anything may take that a test waits for. Far beyond what it takes, for machines under load.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Asks `probe` again and again until it gives something.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(start.elapsed() < DEADLINE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
