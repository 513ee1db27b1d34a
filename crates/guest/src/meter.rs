//! How much CPU time a turn took.
//!
//! The monotonic clock is read before and after each turn: it costs a few nanoseconds, and for a short
//! turn it is as good as the thread's CPU clock, whose reading is a system call. Only after a turn in which
//! the kernel may have run somebody else is the CPU clock asked, and in the middle of one, by a look.

use std::cell::Cell;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// From here on a turn is long. A turn that the kernel interrupted for another thread nearly always is.
const LONG: u64 = 250_000;
/// A reading of the CPU clock that is older, in nanoseconds, is renewed when a turn begins, so that what the thread
/// did between turns is not charged to the guest. Turns are mostly shorter, so this is rare.
const FRESH: u64 = 1_000_000;

/// Measures the turns of one guest, on its thread. All times in nanoseconds, as plain numbers: a turn reads the clock
/// twice, and of many a turn that is a part that shows.
pub struct Meter {
    /// The thread's CPU clock at the last reading, and when that was.
    synced: Cell<u64>,
    synced_at: Cell<u64>,
    /// What turns were charged by the monotonic clock since then.
    charged: Cell<u64>,
    /// The running turn's start; `None` between turns.
    start: Cell<Option<u64>>,
    /// At the first look in the running turn: its CPU time until then, and the CPU clock.
    looked: Cell<Option<(u64, u64)>>,
}

impl Default for Meter {
    fn default() -> Self {
        Self::new()
    }
}

impl Meter {
    /// A meter for the current thread, which alone may use it.
    pub fn new() -> Self {
        Self {
            synced: Cell::new(thread_nanos()),
            synced_at: Cell::new(monotonic()),
            charged: Cell::new(0),
            start: Cell::new(None),
            looked: Cell::new(None),
        }
    }

    /// A turn begins.
    pub fn begin(&self) {
        let now = monotonic();
        if now.saturating_sub(self.synced_at.get()) > FRESH {
            self.sync(thread_nanos(), now);
        }
        self.start.set(Some(now));
        self.looked.set(None);
    }

    /// The running turn's time on the wall so far; `None` between turns.
    pub fn wall(&self) -> Option<Duration> {
        self.start.get().map(|start| Duration::from_nanos(monotonic().saturating_sub(start)))
    }

    /// The running turn's CPU time so far, in nanoseconds; reads the CPU clock.
    pub fn so_far(&self) -> u64 {
        let Some(start) = self.start.get() else { return 0 };
        let now = thread_nanos();
        match self.looked.get() {
            Some((before, at)) => before + now.saturating_sub(at),
            None => {
                let before = self.since_sync(now).min(monotonic().saturating_sub(start));
                self.looked.set(Some((before, now)));
                before
            }
        }
    }

    /// The turn is over. Gives its CPU time, in nanoseconds.
    pub fn end(&self) -> u64 {
        let Some(start) = self.start.take() else { return 0 };
        let end = monotonic();
        let wall = end.saturating_sub(start);
        if let Some((before, at)) = self.looked.get() {
            let now = thread_nanos();
            self.sync(now, end);
            return before + now.saturating_sub(at);
        }
        if wall < LONG {
            self.charged.set(self.charged.get() + wall);
            return wall;
        }
        let now = thread_nanos();
        let used = self.since_sync(now).min(wall);
        self.sync(now, end);
        used
    }

    /// All that the thread used since the last reading, less what short turns were charged. The host's own work in
    /// between is in it; so whoever asks charges no more than the time on the wall.
    fn since_sync(&self, now: u64) -> u64 {
        now.saturating_sub(self.synced.get()).saturating_sub(self.charged.get())
    }

    fn sync(&self, now: u64, at: u64) {
        self.synced.set(now);
        self.synced_at.set(at);
        self.charged.set(0);
    }
}

/// Never goes back.
fn monotonic() -> u64 {
    read(ClockId::Monotonic)
}

fn thread_nanos() -> u64 {
    read(ClockId::ThreadCPUTime)
}

/// The CPU time that the calling thread has taken.
pub fn thread_cpu() -> Duration {
    Duration::from_nanos(thread_nanos())
}

/// These clocks start at the machine's or the thread's beginning: their nanoseconds fit for centuries.
fn read(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    now.tv_sec.unsigned_abs().wrapping_mul(1_000_000_000).wrapping_add(now.tv_nsec.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Uses CPU time and gives how much.
    fn compute(nanoseconds: u64) -> u64 {
        let start = thread_nanos();
        while thread_nanos() - start < nanoseconds {}
        thread_nanos() - start
    }

    #[test]
    fn a_turn_that_slept_is_charged_no_more_than_it_computed() {
        for looks in 0..2 {
            let meter = Meter::new();
            meter.begin();
            std::thread::sleep(Duration::from_millis(30));
            for _ in 0..looks {
                assert!(meter.so_far() < 25_000_000);
            }
            assert!(meter.end() < 25_000_000);
        }
    }

    #[test]
    fn the_hosts_own_work_is_not_charged_to_the_turn_after_it() {
        let meter = Meter::new();
        let host = compute(20_000_000);
        meter.begin();
        let guest = compute(2_000_000);
        let charged = meter.so_far();
        assert!(charged >= guest && charged < guest + host / 2, "{charged} of {guest} and {host}");
    }

    #[test]
    fn what_was_seen_within_a_turn_is_part_of_what_it_took() {
        let meter = Meter::new();
        meter.begin();
        let mut used = compute(1_000_000);
        assert!(meter.so_far() >= used);
        used += compute(1_000_000);
        assert!(meter.so_far() >= used);
        used += compute(1_000_000);
        assert!(meter.end() >= used);
        assert_eq!((meter.wall(), meter.so_far(), meter.end()), (None, 0, 0));
    }
}
