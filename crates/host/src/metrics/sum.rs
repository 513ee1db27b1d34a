//! Metrics as they are at one moment, summed over the workers of each app.

use nexus_guest::Usage;

use super::counter::{HistogramSnapshot, LATENCY_BOUNDS};
use super::interventions::{Interventions, InterventionsSnapshot};
use super::stats::{AppStats, CallCounts, REASONS, WorkerStats};

/// All numbers of one app.
#[derive(Debug, Default)]
pub(crate) struct AppSum {
    pub(super) name: String,
    /// Workers that serve.
    pub(super) workers: u64,
    pub(super) draining: u64,
    pub(super) isolates: u64,
    pub(super) usage: Usage,
    /// What its guests hold as seen from outside, in bytes.
    pub(super) memory: u64,
    pub(super) in_flight: u64,
    /// Requests that wait for a place in the guest.
    pub(super) waiting: u64,
    pub(super) connections: u64,
    /// Whether it has no worker for want of requests.
    pub(super) is_asleep: bool,
    pub(super) cpu_nanos: u64,
    /// By status class, 1xx to 5xx.
    pub(super) requests: [u64; 5],
    pub(super) aborted: u64,
    pub(super) bytes_sent: u64,
    pub(super) latency: HistogramSnapshot,
    pub(super) cold_starts: HistogramSnapshot,
    /// By [`REASONS`].
    pub(super) stops: [u64; REASONS.len()],
    /// Requests that its guests sent: answered, failed, denied, aborted.
    pub(super) subrequests: [u64; 4],
    /// Calls to providers.
    pub(super) calls: CallCounts,
    /// By status, sorted.
    pub(super) refused: Vec<(u16, u64)>,
    pub(super) interventions: InterventionsSnapshot,
}

impl AppSum {
    /// An app of which nothing was counted.
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// One of its workers, with so many open connections, whose guest holds `memory` bytes.
    pub(crate) fn add(&mut self, stats: &AppStats, figures: &WorkerStats, connections: usize, memory: u64) {
        self.connections += connections as u64;
        self.memory += memory;
        stats.add_to(self);
        figures.add_to(self);
        // Where the system does not tell what the thread used, what its requests used has to do.
        self.cpu_nanos += figures.cpu_nanos().max(stats.cpu_nanos());
    }

    /// What its workers counted that are gone.
    pub(crate) fn add_past(&mut self, stats: &AppStats) {
        stats.add_to(self);
        self.cpu_nanos += stats.cpu_nanos();
    }

    /// So many connections are open for which it has no worker.
    pub(crate) fn parked(&mut self, connections: usize) {
        self.connections += connections as u64;
    }

    /// It has no worker, for want of requests: the next connection starts one.
    pub(crate) fn asleep(&mut self) {
        self.is_asleep = true;
    }

    /// One of its workers serves.
    pub(crate) fn serving(&mut self) {
        self.workers += 1;
    }

    /// One of its workers drains.
    pub(crate) fn draining(&mut self) {
        self.draining += 1;
    }

    /// What the host did about its workers.
    pub(crate) fn intervened(&mut self, interventions: &Interventions) {
        self.interventions = interventions.take();
    }
}

/// An app's figures as its status tells them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Figures {
    pub(crate) workers: u64,
    pub(crate) draining: u64,
    pub(crate) is_asleep: bool,
    /// Requests that were answered.
    pub(crate) requests: u64,
    /// Those of them that were answered with 5xx.
    pub(crate) errors: u64,
    pub(crate) in_flight: u64,
    pub(crate) connections: u64,
    pub(crate) cpu_seconds: f64,
    /// What its guests hold, in bytes.
    pub(crate) memory: u64,
    /// In seconds; see [`HistogramSnapshot::quantile`].
    pub(crate) p50: Option<f64>,
    pub(crate) p99: Option<f64>,
    /// For each bucket of the requests' durations its upper bound in seconds, if it has one, and how many fell into it.
    pub(crate) durations: Vec<(Option<f64>, u64)>,
}

impl AppSum {
    /// The app's figures as its status tells them.
    pub(crate) fn figures(&self) -> Figures {
        let bounds = LATENCY_BOUNDS.iter().map(|(nanos, _)| Some(*nanos as f64 / 1e9)).chain([None]);
        Figures {
            workers: self.workers,
            draining: self.draining,
            is_asleep: self.is_asleep,
            requests: self.requests.iter().sum(),
            errors: self.requests[4],
            in_flight: self.in_flight,
            connections: self.connections,
            cpu_seconds: self.cpu_nanos as f64 / 1e9,
            memory: self.memory,
            p50: self.latency.quantile(0.5),
            p99: self.latency.quantile(0.99),
            durations: bounds.zip(self.latency.buckets).collect(),
        }
    }
}

/// What the process holds and how its watchdog fares.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct HostSum {
    /// Bytes that all guests may hold together.
    pub(crate) budget: u64,
    /// Bytes that they hold, lost ones included.
    pub(crate) held: u64,
    /// How often guests were had to look at their limits.
    pub(crate) pokes: u64,
    /// How often the watchdog panicked and went on.
    pub(crate) watchdog_panics: u64,
    /// Log lines that were dropped.
    pub(crate) log_lines_dropped: u64,
}
