//! Metrics as they are at one moment, summed over the workers of each app.

use nexus_guest::Usage;

use super::counter::HistogramSnapshot;
use super::stats::{AppStats, REASONS, WorkerStats};

/// One worker of an app, for [`render`](super::render). Workers of the same name are summed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AppSnapshot<'a> {
    /// The app's name.
    pub(crate) name: &'a str,
    /// What the worker has counted.
    pub(crate) stats: &'a AppStats,
    /// What the worker and its guest hold.
    pub(crate) worker: &'a WorkerStats,
    /// Open connections.
    pub(crate) connections: usize,
    /// Whether the worker serves requests.
    pub(crate) serving: bool,
}

/// All numbers of one app.
#[derive(Debug, Default)]
pub(super) struct AppSum {
    pub(super) name: String,
    pub(super) workers: u64,
    pub(super) isolates: u64,
    pub(super) usage: Usage,
    pub(super) in_flight: u64,
    pub(super) connections: u64,
    pub(super) cpu_nanos: u64,
    /// By status class, 1xx to 5xx.
    pub(super) requests: [u64; 5],
    pub(super) aborted: u64,
    pub(super) bytes_sent: u64,
    pub(super) latency: HistogramSnapshot,
    pub(super) cold_starts: HistogramSnapshot,
    /// By [`REASONS`].
    pub(super) stops: [u64; REASONS.len()],
    /// By status, sorted.
    pub(super) refused: Vec<(u16, u64)>,
}

/// The sums of all apps, in the order in which the apps come first.
pub(super) fn by_app(workers: &[AppSnapshot<'_>]) -> Vec<AppSum> {
    let mut sums: Vec<AppSum> = Vec::new();
    for worker in workers {
        let at = sums.iter().position(|sum| sum.name == worker.name).unwrap_or_else(|| {
            sums.push(AppSum { name: worker.name.to_owned(), ..AppSum::default() });
            sums.len() - 1
        });
        if let Some(sum) = sums.get_mut(at) {
            sum.workers += u64::from(worker.serving);
            sum.connections += worker.connections as u64;
            worker.stats.add_to(sum);
            worker.worker.add_to(sum);
            // Where the system does not tell what the thread used, what its requests used has to do.
            sum.cpu_nanos += worker.worker.cpu_nanos().max(worker.stats.cpu_nanos());
        }
    }
    sums
}
