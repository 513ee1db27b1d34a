//! What the watchdog knows of a turn that it has seen twice.

use std::time::{Duration, Instant};

/// From here on a turn's CPU time is looked at. Reading a thread's clock costs more than all else of a look.
const LONG: Duration = Duration::from_millis(10);

/// At least this often the clock is read, for what a turn is allowed may become less.
const SELDOM: Duration = Duration::from_millis(100);

/// How much CPU time a turn that was slowed down may take until it is given up: at least so much, and so much for each
/// megabyte of its memory limit. Collecting all garbage may take a millisecond a megabyte, in which nothing looks at
/// interrupts, and parsing JSON of a hundred megabytes a second or two; whoever is given up costs the process a thread
/// and its memory, for good.
const GRACE: Duration = Duration::from_secs(2);
const GRACE_A_MEGABYTE: Duration = Duration::from_millis(4);
/// Where others leave it so little that this takes longer than [`PATIENCE`], this part of it will do: it was scheduled,
/// and did not look; and clients wait.
const SCANT: u32 = 20;
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a turn may go on that was slowed down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grace {
    since: Instant,
    /// The thread's CPU time when it was first read.
    base: Option<Duration>,
    next: Instant,
    allowed: Duration,
}

impl Grace {
    /// The turn of a guest with this memory limit, in bytes, was slowed down now.
    pub(super) fn new(now: Instant, memory: u64) -> Self {
        let megabytes = u32::try_from(memory >> 20).unwrap_or(u32::MAX);
        let allowed = GRACE.max(GRACE_A_MEGABYTE.saturating_mul(megabytes));
        Self { since: now, base: None, next: now, allowed }
    }

    /// Whether it is over. A thread that is not scheduled does not use it up.
    pub(super) fn is_over(&mut self, now: Instant, cpu: impl FnOnce() -> Option<Duration>) -> bool {
        if now < self.next {
            return false;
        }
        self.next = now + LONG;
        let Some(cpu) = cpu() else { return false };
        let taken = cpu.saturating_sub(*self.base.get_or_insert(cpu));
        let is_starved = now.duration_since(self.since) >= PATIENCE;
        taken >= self.allowed || (is_starved && taken >= self.allowed / SCANT)
    }
}

/// A turn that was running at a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Turn {
    number: u64,
    /// The thread's CPU time when it was first read.
    base: Option<Duration>,
    /// The earliest time at which the next reading can tell something.
    next: Instant,
    /// Set once it was told to stop: how much CPU time it may take from `base` on.
    allowed: Option<Duration>,
}

impl Turn {
    /// A turn that was seen for the first time.
    pub(super) fn new(number: u64, now: Instant) -> Self {
        Self { number, base: None, next: now + LONG, allowed: None }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// It was told to stop now, and may take this much CPU time until it does.
    pub(super) fn told_to_stop(&mut self, now: Instant, allowed: Duration) {
        self.base = None;
        self.next = now;
        self.allowed = Some(allowed);
    }

    /// Whether it was told to stop.
    pub(super) fn was_told(&self) -> bool {
        self.allowed.is_some()
    }

    /// Whether the turn has taken `allowed` of CPU time since it was first seen, or as much since it was told to stop as
    /// it was allowed then. Reads the thread's clock by `cpu` hardly more often than that can be told: nobody takes more
    /// CPU time than time passes.
    pub(super) fn is_beyond(
        &mut self,
        allowed: Duration,
        now: Instant,
        cpu: impl FnOnce() -> Option<Duration>,
    ) -> bool {
        if now < self.next {
            return false;
        }
        let Some(cpu) = cpu() else {
            self.next = now + LONG;
            return false;
        };
        let base = *self.base.get_or_insert(cpu);
        let left = self.allowed.unwrap_or(allowed).saturating_sub(cpu.saturating_sub(base));
        self.next = now + left.clamp(LONG, SELDOM);
        left.is_zero()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_turn_is_beyond_its_time_by_cpu_not_by_the_clock_on_the_wall() {
        let start = Instant::now();
        let mut turn = Turn::new(1, start);
        let mut readings = 0;
        let mut beyond = None;
        // The thread gets every second millisecond of a CPU.
        for ms in 0..1000u32 {
            let is_beyond = turn.is_beyond(200 * MS, start + ms * MS, || {
                readings += 1;
                Some(5000 * MS + ms * MS / 2)
            });
            if is_beyond {
                beyond = Some(ms);
                break;
            }
        }
        // From the first reading after 10 ms on.
        assert!((410..=420).contains(&beyond.unwrap()), "{beyond:?}");
        assert!(readings < 12, "{readings}");
    }

    #[test]
    fn a_turn_that_waits_is_never_beyond() {
        let start = Instant::now();
        let mut turn = Turn::new(1, start);
        assert!((0..10_000u32).all(|ms| !turn.is_beyond(200 * MS, start + ms * MS, || Some(MS))));
    }

    #[test]
    fn one_that_was_told_to_stop_has_less() {
        let start = Instant::now();
        let mut turn = Turn::new(1, start);
        let at = |ms: u32| (start + ms * MS, move || Some(ms * MS));
        let (now, cpu) = at(50);
        assert!(!turn.is_beyond(1000 * MS, now, cpu));
        turn.told_to_stop(start + 60 * MS, 100 * MS);
        for (ms, beyond) in [(60, false), (150, false), (161, true)] {
            let (now, cpu) = at(ms);
            assert_eq!(turn.is_beyond(1000 * MS, now, cpu), beyond, "{ms}");
        }
    }

    /// When the grace is over of a turn that gets `part` of a processor, in milliseconds.
    fn given_up(part: f64, memory: u64) -> Option<u32> {
        let start = Instant::now();
        let mut grace = Grace::new(start, memory << 20);
        let cpu = |ms: u32| 5000 * MS + (ms * MS).mul_f64(part);
        (0..60_000u32).step_by(2).find(|ms| grace.is_over(start + *ms * MS, || Some(cpu(*ms))))
    }

    #[test]
    fn a_turn_is_given_up_by_what_it_takes_and_sooner_by_the_clock_if_it_gets_little() {
        assert_eq!(given_up(1.0, 128), Some(2000));
        assert_eq!(given_up(0.5, 128), Some(4000));
        assert_eq!(given_up(1.0, 1000), Some(4000), "a large heap takes longer to be collected");
        assert_eq!(given_up(0.05, 128), Some(10_000));
        assert_eq!(given_up(0.005, 128), Some(20_000), "by then it was scheduled for 100 ms");
        assert_eq!(given_up(0.0, 128), None, "one that is not scheduled is not given up");
    }

    #[test]
    fn where_the_clock_cannot_be_read_nothing_is_beyond() {
        let start = Instant::now();
        let mut turn = Turn::new(1, start);
        assert!((0..100u32).all(|ms| !turn.is_beyond(MS, start + ms * 10 * MS, || None)));
    }
}
