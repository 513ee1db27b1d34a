//! What a listener's owner decides: limits, deadlines, and whose word about clients counts.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use nexus_guest::ClientAddress;

use super::BodyLimit;
use crate::descriptors::Descriptors;

/// Limits and deadlines of one listener's connections.
#[derive(Debug, Clone)]
pub(crate) struct ServerConfig {
    /// The largest head of a request, in bytes: 431 beyond it.
    pub max_head: usize,
    /// The largest body of a request, in bytes: 413 beyond it.
    pub max_body: u64,
    /// The longest request target, in bytes: 414 beyond it.
    pub max_url: usize,
    /// From a head's first byte to its last: 408 beyond it.
    pub head_timeout: Duration,
    /// From a connection's start to its first byte: closed beyond it.
    pub first_byte_timeout: Duration,
    /// Between two requests of a connection: closed beyond it.
    pub idle_timeout: Duration,
    /// Without a byte of a body that somebody reads: 408 beyond it, if no response has begun.
    pub body_timeout: Duration,
    /// Without progress in writing: closed beyond it. The client does not read.
    pub write_timeout: Duration,
    /// How long an answered client may go on sending what nobody reads before the connection is closed.
    pub linger_timeout: Duration,
    /// How often an HTTP/2 peer is pinged, and how long it may take to answer.
    pub ping_interval: Duration,
    /// The most streams that an HTTP/2 peer may have open at a time.
    pub max_streams: u32,
    /// The most connections of one listening loop; beyond it no more are accepted until one closes.
    pub max_connections: usize,
    /// The descriptors that connections share with others.
    pub descriptors: &'static Descriptors,
    /// Whose forwarded headers are believed.
    pub trust: Trust,
    /// What takes the place of the largest head, URL and body above, where they grow.
    pub maxima: Option<Arc<Maxima>>,
}

/// The largest head, URL and body, in bytes, for a listener whose owner admits larger ones as time goes by.
#[derive(Debug, Default)]
pub(crate) struct Maxima {
    head: AtomicUsize,
    url: AtomicUsize,
    body: AtomicU64,
}

impl Maxima {
    /// They are at least so much from now on.
    pub(crate) fn admit(&self, head: usize, url: usize, body: u64) {
        // Relaxed: a request that comes at the same time is held to those before.
        self.head.fetch_max(head, Ordering::Relaxed);
        self.url.fetch_max(url, Ordering::Relaxed);
        self.body.fetch_max(body, Ordering::Relaxed);
    }
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            max_head: 64 * 1024,
            max_body: 100 * 1024 * 1024,
            max_url: 16 * 1024,
            head_timeout: Duration::from_secs(10),
            first_byte_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            linger_timeout: Duration::from_secs(2),
            ping_interval: Duration::from_secs(20),
            max_streams: 100,
            max_connections: 10_000,
            descriptors: Descriptors::of_process(),
            trust: Trust::nobody(),
            maxima: None,
        }
    }
}

impl ServerConfig {
    /// The limits of bodies where no service says otherwise.
    pub(super) fn body_limit(&self) -> BodyLimit {
        BodyLimit { most: self.largest_body(), timeout: self.body_timeout }
    }

    /// The largest head of a request.
    pub(super) fn largest_head(&self) -> usize {
        self.maxima.as_ref().map_or(self.max_head, |maxima| maxima.head.load(Ordering::Relaxed))
    }

    /// The longest request target.
    pub(super) fn longest_url(&self) -> usize {
        self.maxima.as_ref().map_or(self.max_url, |maxima| maxima.url.load(Ordering::Relaxed))
    }

    /// The largest body of a request.
    pub(super) fn largest_body(&self) -> u64 {
        self.maxima.as_ref().map_or(self.max_body, |maxima| maxima.body.load(Ordering::Relaxed))
    }
}

/// Which peers are proxies whose `forwarded` and `x-forwarded-*` fields are believed.
#[derive(Clone)]
pub(crate) struct Trust(Option<Rc<dyn Fn(ClientAddress) -> bool>>);

impl Trust {
    /// No proxies.
    pub(crate) fn nobody() -> Self {
        Self(None)
    }

    /// The peers for which `trusts` says so.
    pub(crate) fn of(trusts: impl Fn(ClientAddress) -> bool + 'static) -> Self {
        Self(Some(Rc::new(trusts)))
    }

    /// Whether `address` is a trusted proxy's.
    pub(super) fn includes(&self, address: ClientAddress) -> bool {
        self.0.as_ref().is_some_and(|trusts| trusts(address))
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Trust(some)" } else { "Trust(nobody)" })
    }
}
