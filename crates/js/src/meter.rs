//! How much CPU time a turn took.
//!
//! The monotonic clock is read before and after each turn: it costs a few nanoseconds, and for a short
//! turn it is as good as the thread's CPU clock, whose reading is a system call. Only after a long turn,
//! in which the kernel may have run somebody else, is the CPU clock asked.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// From here on a turn is long.
const LONG: Duration = Duration::from_millis(1);

/// Measures the turns of one worker's thread.
pub(crate) struct Meter {
    /// The thread's CPU clock at the last reading.
    synced: Duration,
    /// What was charged by the monotonic clock since then.
    charged: Duration,
}

impl Meter {
    pub(crate) fn new() -> Self {
        Self { synced: thread_cpu(), charged: Duration::ZERO }
    }

    /// The CPU time of the turn that began at `start` and ends now.
    pub(crate) fn turn(&mut self, start: Instant) -> Duration {
        let wall = start.elapsed();
        if wall < LONG {
            self.charged += wall;
            return wall;
        }
        let now = thread_cpu();
        // All that the thread used since the last reading, less what short turns were charged. The host's own work
        // in between is in it, but never more than the wall time of this turn is charged.
        let used = now.saturating_sub(self.synced).saturating_sub(self.charged);
        self.synced = now;
        self.charged = Duration::ZERO;
        used.min(wall)
    }
}

fn thread_cpu() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_that_slept_is_charged_no_more_than_it_computed() {
        let mut meter = Meter::new();
        let start = Instant::now();
        std::thread::sleep(Duration::from_millis(30));
        assert!(meter.turn(start) < Duration::from_millis(25));
    }
}
