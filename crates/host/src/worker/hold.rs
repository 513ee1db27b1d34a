//! Whether new requests wait for a fresh worker, because this one is near its memory limit.
//!
//! A fresh worker needs some milliseconds to load the app. A guest that went on taking requests meanwhile could come to
//! its limit, and be stopped, by requests that did nothing wrong. So they wait: until the fresh worker serves, when
//! this one is told to retire and takes those that are left, one for each connection at most.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Worker;

/// Requests are held back for so long at most. That is many times what loading takes.
const LONGEST: Duration = Duration::from_secs(2);

/// Holds requests back from a guest that is nearly full.
pub(super) struct Hold {
    worker: Arc<Worker>,
    /// Since when they are held back.
    since: Cell<Option<Instant>>,
    /// Set once no fresh worker will come, or has come: this guest takes what there is.
    is_over: Cell<bool>,
}

impl Hold {
    pub(super) fn new(worker: Arc<Worker>) -> Self {
        Self { worker, since: Cell::new(None), is_over: Cell::new(false) }
    }

    /// Whether a request is not to go to the guest now.
    #[inline]
    pub(super) fn holds(&self) -> bool {
        self.worker.is_full() && self.has_begun()
    }

    #[cold]
    fn has_begun(&self) -> bool {
        if self.is_over.get() {
            return false;
        }
        let now = Instant::now();
        let since = self.since.get().unwrap_or(now);
        self.since.set(Some(since));
        // Garbage may come and go; how often it does so must not add up.
        self.is_over.set(now.duration_since(since) >= LONGEST);
        !self.is_over.get()
    }

    /// The worker has another guest.
    pub(super) fn renew(&self) {
        self.since.set(None);
        self.is_over.set(false);
    }

    /// The worker ends: its guest takes what is left.
    pub(super) fn end(&self) {
        self.is_over.set(true);
    }
}
