//! What a request and a worker use: CPU time and memory.

use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use nexus_core::{Limit, Limits};
use nexus_guest::{CpuAccount, Hold, Meter, StopReason, Watch};
use tokio::time::Instant;

use crate::outgoing::Payer;

thread_local! {
    /// The meter of this thread's turns: a worker's thread runs one turn at a time.
    pub(crate) static METER: Meter = Meter::new();
}

// Orderings: these are figures, most of them written by the worker's thread alone; providers charge CPU time from theirs.
// They are atomic because a store's data has to be `Send`, too.

/// A request's CPU time.
pub(crate) struct Account {
    /// Nanoseconds of the turns that are over.
    spent: AtomicU64,
    /// What of it was charged by a room, or by a provider, and its request was not told so far.
    unreported: AtomicU64,
    limit: u64,
    /// Since when what runs is the request's tail: its response is complete.
    tail_since: OnceLock<Instant>,
}

impl Account {
    pub(crate) fn new(limits: &Limits) -> Self {
        let limit = nanoseconds(limits.time(Limit::Cpu));
        Self { spent: AtomicU64::new(0), unreported: AtomicU64::new(0), limit, tail_since: OnceLock::new() }
    }

    /// A turn took so many nanoseconds.
    pub(crate) fn charge(&self, cpu: u64) {
        self.spent.fetch_add(cpu, Ordering::Relaxed);
    }

    /// A room's turn, or a provider, took so many nanoseconds for it.
    pub(crate) fn charge_for_room(&self, cpu: u64) {
        self.charge(cpu);
        self.unreported.fetch_add(cpu, Ordering::Relaxed);
    }

    /// What these have charged since this was asked last.
    pub(crate) fn take_unreported(&self) -> Duration {
        Duration::from_nanos(self.unreported.swap(0, Ordering::Relaxed))
    }

    /// All of the time is there again.
    pub(crate) fn renew(&self) {
        self.spent.store(0, Ordering::Relaxed);
    }

    /// Whether what is over, and so many nanoseconds of a running turn, are beyond the limit.
    pub(crate) fn is_beyond(&self, running: u64) -> bool {
        self.spent.load(Ordering::Relaxed).saturating_add(running) > self.limit
    }

    /// Whether the response is complete.
    pub(crate) fn is_tail(&self) -> bool {
        self.tail_since.get().is_some()
    }

    /// Since when it is.
    pub(crate) fn tail_since(&self) -> Option<Instant> {
        self.tail_since.get().copied()
    }

    /// The response is complete: what comes now has as much again.
    pub(crate) fn begin_tail(&self) {
        if self.tail_since.set(Instant::now()).is_ok() {
            self.renew();
        }
    }
}

impl CpuAccount for Account {
    fn charge(&self, cpu: Duration) {
        self.charge_for_room(nanoseconds(cpu));
    }
}

impl Payer for Account {
    fn left(&self) -> Duration {
        Duration::from_nanos(self.limit.saturating_sub(self.spent.load(Ordering::Relaxed)))
    }
}

/// As the accounts have it.
pub(crate) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The instances of a worker, and their memory.
pub(crate) struct WorkerMemory {
    total: AtomicU64,
    /// How many instances there are.
    instances: AtomicUsize,
    limit: u64,
    watch: Arc<Watch>,
}

impl WorkerMemory {
    pub(crate) fn new(limits: &Limits, watch: Arc<Watch>) -> Self {
        let (total, instances) = (AtomicU64::new(0), AtomicUsize::new(0));
        Self { total, instances, limit: limits.get(Limit::Memory), watch }
    }

    /// How many instances there are.
    pub(crate) fn instances(&self) -> usize {
        self.instances.load(Ordering::Relaxed)
    }

    /// One more.
    pub(crate) fn begin_instance(&self) {
        self.instances.store(self.instances() + 1, Ordering::Relaxed);
    }

    /// One less.
    pub(crate) fn end_instance(&self) {
        self.instances.store(self.instances().saturating_sub(1), Ordering::Relaxed);
    }

    /// Bytes in all.
    pub(crate) fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// The limit, in bytes.
    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// Takes so many bytes more, if that is within the limit.
    pub(crate) fn take(&self, bytes: u64) -> bool {
        let more = |total: u64| Some(total.saturating_add(bytes)).filter(|total| *total <= self.limit);
        let taken = self.total.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        if let Ok(before) = taken {
            self.watch.set_memory(before + bytes);
        }
        taken.is_ok()
    }

    /// Gives bytes back.
    pub(crate) fn give(&self, bytes: u64) {
        let less = |total: u64| Some(total.saturating_sub(bytes));
        let before = self.total.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        self.watch.set_memory(before.unwrap_or(0).saturating_sub(bytes));
    }

    /// Takes so many bytes for something that the host holds, as long as it does. The error is what is said if that is
    /// not within the limit.
    pub(crate) fn hold(self: &Arc<Self>, bytes: u64, what: &str) -> Result<Held, String> {
        if self.take(bytes) {
            return Ok(Held { memory: self.clone(), bytes });
        }
        let limit = Limit::Memory;
        Err(format!("no memory for {what} (limit: {} {})", limit.key(), limit.show(self.limit)))
    }
}

/// Bytes that the host holds for a guest, on its worker's account until this is dropped.
pub(crate) struct Held {
    memory: Arc<WorkerMemory>,
    bytes: u64,
}

/// What a call to a provider holds goes with it to other threads.
impl Hold for Held {
    fn grow(&mut self, bytes: usize) -> bool {
        let bytes = bytes as u64;
        let fits = self.memory.take(bytes);
        self.bytes += if fits { bytes } else { 0 };
        fits
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.memory.give(self.bytes);
    }
}

/// Whether, and why, the guest is to end.
#[derive(Default)]
pub(crate) struct Ending(AtomicU8);

const REASONS: [StopReason; 5] =
    [StopReason::Memory, StopReason::Cpu, StopReason::Wall, StopReason::Host, StopReason::Engine];

impl Ending {
    /// The guest is to end. The first reason counts.
    pub(crate) fn ask(&self, reason: StopReason) {
        let code = REASONS.iter().position(|other| *other == reason).map_or(0, |at| at as u8 + 1);
        let _ = self.0.compare_exchange(0, code, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Why it is to end.
    pub(crate) fn reason(&self) -> Option<StopReason> {
        let code = usize::from(self.0.load(Ordering::Relaxed));
        REASONS.get(code.checked_sub(1)?).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_takes_no_more_memory_than_its_limit_and_gives_it_back() {
        let mut limits = Limits::default();
        limits.set(Limit::Memory, 100);
        let watch = Arc::new(Watch::new());
        let memory = WorkerMemory::new(&limits, watch.clone());
        assert!(memory.take(60) && !memory.take(41) && memory.take(40));
        assert_eq!((memory.total(), watch.memory()), (100, 100));
        memory.give(60);
        assert!(memory.take(60) && !memory.take(u64::MAX));
    }

    #[test]
    fn what_the_host_holds_is_on_the_account_until_it_is_dropped() {
        let mut limits = Limits::default();
        limits.set(Limit::Memory, 100 << 20);
        let memory = Arc::new(WorkerMemory::new(&limits, Arc::new(Watch::new())));
        let held = memory.hold(99 << 20, "it").unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(memory.total(), 99 << 20);
        let refused = memory.hold(2 << 20, "another one").map(drop).unwrap_err();
        assert_eq!(refused, "no memory for another one (limit: memory 100 MB)");
        drop(held);
        assert_eq!(memory.total(), 0);
    }

    #[test]
    fn a_tail_has_as_much_cpu_time_again_but_once_only() {
        let mut limits = Limits::default();
        limits.set(Limit::Cpu, 1);
        let account = Account::new(&limits);
        account.charge(900_000);
        assert!(!account.is_beyond(100_000) && account.is_beyond(100_001));
        account.begin_tail();
        assert!(!account.is_beyond(1_000_000));
        account.charge(900_000);
        account.begin_tail();
        assert!(account.is_beyond(100_001));
    }

    #[test]
    fn the_first_reason_to_end_counts() {
        let ending = Ending::default();
        assert_eq!(ending.reason(), None);
        ending.ask(StopReason::Host);
        ending.ask(StopReason::Cpu);
        assert_eq!(ending.reason(), Some(StopReason::Host));
    }
}
