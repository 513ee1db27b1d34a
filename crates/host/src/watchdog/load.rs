//! How much a worker has to do: whether another one should help, or it has time to spare.
//!
//! A look finds a worker awake or waiting for something to do. That its event loop is always awake says that it has more
//! to do than it can, be it for its own work or for want of a processor; so do requests that wait all the time.

use std::time::{Duration, Instant};

/// Looks are summed up over so long.
const WINDOW: Duration = Duration::from_millis(200);
/// A worker that was awake at so many of a hundred looks was busy; one at fewer than so many had time to spare.
const BUSY: u32 = 95;
const SPARE: u32 = 40;
/// After so many busy windows in a row another worker is to help: bursts are shorter.
const SATURATED_AFTER: u32 = 4;
/// After so many spare windows in a row one is too many.
const SPARE_AFTER: u32 = 50;

/// What is to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The worker has had more to do than it can.
    Saturated,
    /// It has had little to do.
    Spare,
}

/// What the looks at one worker found.
#[derive(Debug)]
pub(super) struct Load {
    since: Instant,
    looks: u32,
    awake: u32,
    /// Whether requests waited at each look.
    waited: bool,
    busy: u32,
    spare: u32,
}

impl Load {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, looks: 0, awake: 0, waited: true, busy: 0, spare: 0 }
    }

    /// A look. Gives what is to follow, if anything.
    pub(super) fn look(&mut self, now: Instant, is_awake: bool, waiting: usize) -> Option<Verdict> {
        self.looks += 1;
        self.awake += u32::from(is_awake);
        self.waited &= waiting > 0;
        let time = now.duration_since(self.since);
        if time < WINDOW {
            return None;
        }
        // While nobody is awake there are no looks.
        let missed = u32::try_from(time.as_millis() / WINDOW.as_millis()).unwrap_or(u32::MAX) - 1;
        let (busy, spare) = (self.awake * 100 >= self.looks * BUSY, self.awake * 100 < self.looks * SPARE);
        self.busy = if (busy || self.waited) && missed == 0 { self.busy + 1 } else { 0 };
        self.spare = if spare { self.spare.saturating_add(missed).saturating_add(1) } else { 0 };
        *self = Self { busy: self.busy, spare: self.spare, ..Self::new(now) };
        if self.busy >= SATURATED_AFTER {
            self.busy = 0;
            return Some(Verdict::Saturated);
        }
        if self.spare >= SPARE_AFTER {
            self.spare = 0;
            return Some(Verdict::Spare);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What follows when the worker is found like this, look by look, every 5 ms for so long.
    fn found(time: Duration, look: impl Fn(u32) -> (bool, usize)) -> Vec<Verdict> {
        let start = Instant::now();
        let mut load = Load::new(start);
        let looks = u32::try_from(time.as_millis() / 5).unwrap();
        let look = |n| {
            let (is_awake, waiting) = look(n);
            load.look(start + Duration::from_millis(5) * n, is_awake, waiting)
        };
        (1..=looks).filter_map(look).collect()
    }

    #[test]
    fn who_is_always_awake_is_to_be_helped_and_again_after_a_while() {
        assert_eq!(found(Duration::from_millis(780), |_| (true, 0)), []);
        assert_eq!(found(Duration::from_millis(820), |_| (true, 0)), [Verdict::Saturated]);
        assert_eq!(found(Duration::from_millis(1700), |_| (true, 0)), [Verdict::Saturated; 2]);
    }

    #[test]
    fn who_sleeps_now_and_then_is_not() {
        assert_eq!(found(Duration::from_secs(5), |n| (n % 10 != 0, 0)), []);
        assert_eq!(found(Duration::from_secs(5), |n| (n % 100 > 10, 0)), [], "bursts are no load");
    }

    #[test]
    fn where_requests_always_wait_it_is_to_be_helped_though_it_sleeps() {
        assert_eq!(found(Duration::from_millis(820), |_| (false, 3)), [Verdict::Saturated]);
        assert!(!found(Duration::from_secs(3), |n| (false, (n % 7) as usize)).contains(&Verdict::Saturated));
    }

    #[test]
    fn who_has_little_to_do_for_long_is_spare() {
        assert_eq!(found(Duration::from_millis(9_900), |n| (n % 3 == 0, 0)), []);
        assert_eq!(found(Duration::from_millis(10_100), |n| (n % 3 == 0, 0)), [Verdict::Spare]);
        assert_eq!(found(Duration::from_secs(30), |n| (n % 2 == 0, 0)), []);
    }

    #[test]
    fn time_without_a_look_was_spent_asleep() {
        let start = Instant::now();
        let mut load = Load::new(start);
        for n in 1..8 {
            assert_eq!(load.look(start + Duration::from_millis(210) * n * 2, true, 0), None);
        }
        assert_eq!(load.look(start + Duration::from_secs(60), false, 0), Some(Verdict::Spare));
    }
}
