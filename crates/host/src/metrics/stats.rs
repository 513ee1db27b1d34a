//! What a worker counts, and what it holds.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nexus_guest::{Called, CapabilityError, StopReason, Usage};

use super::counter::{Counter, Gauge, Histogram};
use super::process::{current_thread, thread_cpu_nanos};
use super::sum::AppSum;

/// What one worker of an app has counted since it was started, its guests' replacements included.
///
/// Written by the worker's thread only (see [`Counter`]); any thread may read. An app with several workers has one for
/// each, and they are summed when somebody scrapes.
#[derive(Debug, Default)]
pub(crate) struct AppStats {
    /// By status class, 1xx to 5xx.
    requests: [Counter; 5],
    aborted: Counter,
    bytes_sent: Counter,
    latency: Histogram,
    /// CPU time that was charged to requests, in nanoseconds.
    cpu: Counter,
    cold_starts: Histogram,
    stops: [Counter; REASONS.len()],
    /// Requests that its guests sent: answered, failed, denied, aborted.
    subrequests: [Counter; 4],
    /// By status. Seldom touched, so a lock will do.
    refused: Mutex<BTreeMap<u16, u64>>,
    /// Calls to providers. A lock that nobody else wants but a scrape.
    calls: Mutex<CallCounts>,
}

/// Calls to providers, by provider, capability, operation and what came of them.
pub(super) type CallCounts = BTreeMap<(Box<str>, &'static str, &'static str, &'static str), CallCount>;

/// How many calls, and how long they took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct CallCount {
    pub(super) count: u64,
    pub(super) nanos: u64,
}

/// Adds what another one has counted.
pub(super) fn add_calls(own: &mut CallCounts, other: &CallCounts) {
    for (key, count) in other {
        let own = own.entry(key.clone()).or_default();
        own.count += count.count;
        own.nanos += count.nanos;
    }
}

/// What a request that a guest sent has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// There was a response, whatever its status.
    Answered,
    /// There was none.
    Failed,
    /// It was not granted.
    Denied,
    /// Who sent it gave it up before there was a response.
    Aborted,
}

impl Sent {
    pub(super) const LABELS: [&str; 4] = ["answered", "failed", "denied", "aborted"];
}

/// The reasons for which guests end, in the order in which they are counted.
pub(super) const REASONS: [StopReason; 5] =
    [StopReason::Memory, StopReason::Cpu, StopReason::Wall, StopReason::Host, StopReason::Engine];

impl AppStats {
    /// A request is over. Without a status its client went away before there was one.
    #[inline]
    pub(crate) fn ended(
        &self,
        status: Option<u16>,
        took: Duration,
        bytes: u64,
        cpu: Duration,
        complete: bool,
    ) {
        if let Some(class) =
            status.and_then(|status| self.requests.get(usize::from(status / 100).wrapping_sub(1)))
        {
            class.add(1);
            self.latency.observe(took);
        }
        if !complete {
            self.aborted.add(1);
        }
        self.bytes_sent.add(bytes);
        self.cpu.add(cpu.as_nanos() as u64);
    }

    /// A guest can take requests: from the decision to start it that took this long.
    pub(crate) fn cold_start(&self, took: Duration) {
        self.cold_starts.observe(took);
    }

    /// A guest ended.
    pub(crate) fn stopped(&self, reason: StopReason) {
        if let Some(at) = REASONS.iter().position(|other| *other == reason) {
            self.stops[at].add(1);
        }
    }

    /// A request that the guest sent has ended.
    pub(crate) fn sent(&self, outcome: Sent) {
        self.subrequests[outcome as usize].add(1);
    }

    /// A call to a provider is over.
    pub(crate) fn called(&self, call: &Called<'_>) {
        let result = call.error.map_or("ok", CapabilityError::label);
        let nanos = u64::try_from(call.took.as_nanos()).unwrap_or(u64::MAX);
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (call.provider.into(), call.capability.name(), call.operation, result);
        let own = calls.entry(key).or_default();
        own.count += 1;
        own.nanos += nanos;
    }

    /// The server answered a request in place of the guest (400, 413, …).
    pub(crate) fn refused(&self, status: u16) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner).entry(status).or_default() += 1;
    }

    pub(super) fn cpu_nanos(&self) -> u64 {
        self.cpu.get()
    }

    /// Takes over what a worker counted that writes no more. Only one thread at a time may do this, and none else
    /// write to it.
    pub(crate) fn absorb(&self, other: &AppStats, figures: &WorkerStats) {
        for (own, other) in self.requests.iter().zip(&other.requests) {
            own.add(other.get());
        }
        self.aborted.add(other.aborted.get());
        self.bytes_sent.add(other.bytes_sent.get());
        self.latency.absorb(&other.latency);
        self.cpu.add(figures.cpu_nanos().max(other.cpu.get()));
        self.cold_starts.absorb(&other.cold_starts);
        for (own, other) in self.stops.iter().zip(&other.stops) {
            own.add(other.get());
        }
        for (own, other) in self.subrequests.iter().zip(&other.subrequests) {
            own.add(other.get());
        }
        let others = other.calls.lock().unwrap_or_else(PoisonError::into_inner);
        add_calls(&mut self.calls.lock().unwrap_or_else(PoisonError::into_inner), &others);
        let other = other.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let mut own = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        for (status, count) in other.iter() {
            *own.entry(*status).or_default() += count;
        }
    }

    /// Adds everything but the CPU time.
    pub(super) fn add_to(&self, sum: &mut AppSum) {
        for (total, counter) in sum.requests.iter_mut().zip(&self.requests) {
            *total += counter.get();
        }
        sum.aborted += self.aborted.get();
        sum.bytes_sent += self.bytes_sent.get();
        sum.latency.add(&self.latency);
        sum.cold_starts.add(&self.cold_starts);
        for (total, counter) in sum.stops.iter_mut().zip(&self.stops) {
            *total += counter.get();
        }
        for (total, counter) in sum.subrequests.iter_mut().zip(&self.subrequests) {
            *total += counter.get();
        }
        add_calls(&mut sum.calls, &self.calls.lock().unwrap_or_else(PoisonError::into_inner));
        for (status, count) in self.refused.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            match sum.refused.binary_search_by_key(status, |(status, _)| *status) {
                Ok(at) => sum.refused[at].1 += count,
                Err(at) => sum.refused.insert(at, (*status, *count)),
            }
        }
    }
}

/// What a worker and its guest hold, written by the worker's thread only.
#[derive(Debug, Default)]
pub(crate) struct WorkerStats {
    heap_used: Gauge,
    heap_limit: Gauge,
    scopes: Gauge,
    timers: Gauge,
    operations: Gauge,
    in_flight: Gauge,
    waiting: Gauge,
    /// 1 if there is a guest.
    guests: Gauge,
    thread: Arc<ThreadClock>,
}

impl WorkerStats {
    /// The calling thread is the worker's: its CPU time counts from here to the thread's end.
    pub(crate) fn started(&self) {
        self.thread.0.store(current_thread(), Ordering::Relaxed);
        let ending = Ending(self.thread.clone());
        // Fails only in a thread that is ending already, whose clock then stops at once.
        let _ = ENDING.try_with(|slot| slot.replace(Some(ending)));
    }

    /// What the guest holds now, and how many of its requests are not over.
    pub(crate) fn report(&self, usage: Usage, in_flight: u64, has_guest: bool) {
        self.heap_used.set(usage.heap_used);
        self.heap_limit.set(usage.heap_limit);
        self.scopes.set(usage.scopes);
        self.timers.set(usage.timers);
        self.operations.set(usage.operations);
        self.in_flight.set(in_flight);
        self.guests.set(u64::from(has_guest));
    }

    /// How many requests wait for a place in the guest, or for the guest.
    pub(crate) fn waiting(&self, requests: u64) {
        self.waiting.set(requests);
    }

    /// The thread's CPU time in nanoseconds; 0 where the system does not tell it.
    pub(super) fn cpu_nanos(&self) -> u64 {
        self.thread.nanos()
    }

    pub(super) fn add_to(&self, sum: &mut AppSum) {
        sum.usage.heap_used += self.heap_used.get();
        sum.usage.heap_limit += self.heap_limit.get();
        sum.usage.scopes += self.scopes.get();
        sum.usage.timers += self.timers.get();
        sum.usage.operations += self.operations.get();
        sum.in_flight += self.in_flight.get();
        sum.waiting += self.waiting.get();
        sum.isolates += self.guests.get();
    }
}

/// A worker's thread, by its id (0: not to be asked), and the most CPU time that was ever seen of it.
#[derive(Debug, Default)]
struct ThreadClock(AtomicU32, AtomicU64);

impl ThreadClock {
    fn nanos(&self) -> u64 {
        let now = thread_cpu_nanos(self.0.load(Ordering::Relaxed)).unwrap_or(0);
        // Any thread may scrape, so this one is a real read-modify-write. The time never goes back.
        self.1.fetch_max(now, Ordering::Relaxed).max(now)
    }
}

thread_local! {
    static ENDING: RefCell<Option<Ending>> = const { RefCell::new(None) };
}

/// Dropped when the thread ends: reads its clock a last time, and forgets its id, which the system may give to another
/// thread.
struct Ending(Arc<ThreadClock>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.nanos();
        self.0.0.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    const MS: Duration = Duration::from_millis(1);

    /// Workers of one app, with three connections and 7 bytes each.
    fn sum(workers: &[(&AppStats, &WorkerStats)]) -> AppSum {
        let mut sum = AppSum::new("a");
        for (stats, figures) in workers {
            sum.add(stats, figures, 3, 7);
        }
        sum
    }

    #[test]
    fn an_app_is_the_sum_of_its_workers() {
        let (one, two) = (AppStats::default(), AppStats::default());
        let worker = WorkerStats::default();
        worker.report(Usage { heap_used: 5, heap_limit: 9, scopes: 1, timers: 2, operations: 3 }, 4, true);
        worker.waiting(5);
        one.ended(Some(200), MS, 10, MS, true);
        one.ended(None, MS, 0, MS, false);
        two.ended(Some(204), MS, 1, MS, true);
        two.ended(Some(500), MS, 0, MS, false);
        two.ended(Some(999), MS, 0, MS, true);
        let a = sum(&[(&one, &worker), (&two, &worker)]);
        assert_eq!((a.isolates, a.connections, a.memory, a.in_flight, a.waiting), (2, 6, 14, 8, 10));
        assert_eq!(a.requests, [0, 2, 0, 0, 1]);
        assert_eq!((a.aborted, a.bytes_sent, a.latency.count()), (2, 11, 3));
        assert_eq!(a.usage, Usage { heap_used: 10, heap_limit: 18, scopes: 2, timers: 4, operations: 6 });
        assert_eq!(a.cpu_nanos, 5_000_000, "no thread was named, so what was charged counts");
    }

    #[test]
    fn what_a_worker_counted_stays_when_it_is_gone() {
        let (past, worker, figures) = (AppStats::default(), AppStats::default(), WorkerStats::default());
        worker.ended(Some(200), MS, 10, MS, true);
        worker.ended(Some(503), 20 * MS, 3, 2 * MS, false);
        worker.cold_start(3 * MS);
        worker.stopped(StopReason::Memory);
        worker.refused(413);
        let before = format!("{:?}", sum(&[(&worker, &figures)]));
        past.absorb(&worker, &figures);
        let mut after = sum(&[]);
        after.add_past(&past);
        (after.connections, after.memory) = (3, 7);
        assert_eq!(format!("{after:?}"), before);
        past.absorb(&worker, &figures);
        let mut twice = sum(&[]);
        twice.add_past(&past);
        assert_eq!((twice.requests, twice.latency.count(), twice.cpu_nanos), ([0, 2, 0, 0, 2], 4, 6_000_000));
        assert_eq!(twice.refused, [(413, 2)]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn cpu_time_is_the_threads_and_stays_when_the_thread_has_ended() {
        let worker = WorkerStats::default();
        let seen = std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                worker.started();
                // The system accounts for the time of a running thread at its next tick at the latest.
                while thread_cpu_nanos(current_thread()).is_none() {
                    std::thread::yield_now();
                }
                worker.cpu_nanos()
            });
            thread.join().unwrap()
        });
        assert!(seen > 0);
        assert!(worker.cpu_nanos() >= seen);
        assert_eq!(worker.thread.0.load(Ordering::Relaxed), 0, "the id may be another thread's by now");
    }

    #[test]
    fn stops_refusals_and_cold_starts_are_counted() {
        let (one, two, worker) = (AppStats::default(), AppStats::default(), WorkerStats::default());
        one.stopped(StopReason::Cpu);
        two.stopped(StopReason::Cpu);
        two.refused(503);
        one.refused(503);
        one.refused(413);
        one.cold_start(3 * MS);
        let sum = sum(&[(&one, &worker), (&two, &worker)]);
        assert_eq!(sum.stops[REASONS.iter().position(|reason| *reason == StopReason::Cpu).unwrap()], 2);
        assert_eq!(sum.refused, [(413, 1), (503, 2)]);
        assert_eq!((sum.cold_starts.count(), sum.cold_starts.nanos), (1, 3_000_000));
    }

    #[test]
    fn every_reason_for_a_stop_has_its_counter() {
        let labels: Vec<_> = REASONS.iter().map(|reason| reason.label()).collect();
        assert_eq!(labels, ["memory", "cpu", "wall", "host", "engine"]);
    }
}
