//! What follows from a host's death: when the next one starts, which apps it leaves out, when to give up.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// A host that dies within this time died quickly: the next one waits, longer each time.
const QUICK: Duration = Duration::from_secs(10);
/// How long the host after the second quick death waits; each further one twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// The longest wait.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// How many hosts in a row may die before they have served.
const TRIES: u32 = 5;

/// An app that was executing in so many deaths within [`WINDOW`] is set aside.
pub(super) const DEATHS: usize = 3;
/// Over which time deaths are counted.
const WINDOW: Duration = Duration::from_secs(60);

/// The deaths so far.
#[derive(Default)]
pub(super) struct Policy {
    /// For apps that were executing when hosts died, when that was, within the last minute.
    deaths: BTreeMap<usize, VecDeque<Instant>>,
    aside: BTreeSet<usize>,
    /// Quick deaths in a row.
    quick: u32,
    /// Hosts in a row that died before they served, since an app was set aside.
    in_vain: u32,
}

/// What follows from a death.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// When the next host starts, from now; `None` to give up.
    pub(super) wait: Option<Duration>,
    /// The apps that are set aside from now on.
    pub(super) set_aside: Vec<usize>,
}

impl Policy {
    /// A host has died at `now`, which was started at `born`, while these apps were executing.
    pub(super) fn died(&mut self, now: Instant, born: Instant, served: bool, executing: &[usize]) -> Verdict {
        let set_aside = self.blame(now, executing);
        self.quick = if now.duration_since(born) < QUICK { self.quick + 1 } else { 1 };
        // Without that app the next one may serve.
        self.in_vain = if served || !set_aside.is_empty() { 0 } else { self.in_vain + 1 };
        let wait = match self.quick {
            0 | 1 => Duration::ZERO,
            more => (FIRST_WAIT * 2u32.saturating_pow(more - 2)).min(LONGEST_WAIT),
        };
        Verdict { wait: (self.in_vain < TRIES).then_some(wait), set_aside }
    }

    /// Some host has died at `now`, which others stand in for, while these apps were executing. Gives those that are
    /// set aside from now on.
    pub(super) fn blame(&mut self, now: Instant, executing: &[usize]) -> Vec<usize> {
        let mut set_aside = Vec::new();
        for &app in executing {
            let deaths = self.deaths.entry(app).or_default();
            deaths.push_back(now);
            deaths.retain(|at| now.duration_since(*at) < WINDOW);
            if deaths.len() >= DEATHS && self.aside.insert(app) {
                set_aside.push(app);
            }
        }
        set_aside
    }

    /// The apps that are set aside, by their places.
    pub(super) fn aside(&self) -> Vec<usize> {
        self.aside.iter().copied().collect()
    }

    /// Gives every app another chance.
    pub(super) fn forgive(&mut self) {
        self.aside.clear();
        self.deaths.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A policy and its clock.
    struct Scene {
        policy: Policy,
        now: Instant,
    }

    impl Scene {
        fn new() -> Self {
            Self { policy: Policy::default(), now: Instant::now() }
        }

        /// A host that lives so long, and dies while these apps are executing.
        fn host(&mut self, lives: Duration, served: bool, executing: &[usize]) -> Verdict {
            let born = self.now;
            self.now += lives;
            self.policy.died(self.now, born, served, executing)
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    fn after(millis: u64) -> Verdict {
        Verdict { wait: Some(Duration::from_millis(millis)), set_aside: Vec::new() }
    }

    #[test]
    fn quick_deaths_in_a_row_make_the_next_host_wait_longer_up_to_ten_seconds() {
        let mut scene = Scene::new();
        let waits: Vec<_> = (0..12).map(|_| scene.host(SECOND, true, &[])).collect();
        let expected = [0, 50, 100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000];
        assert_eq!(waits, expected.map(after));
        assert_eq!(scene.host(QUICK, true, &[]), after(0), "one that lived starts the count again");
        assert_eq!(scene.host(SECOND, true, &[]), after(50));
    }

    #[test]
    fn the_wait_does_not_overflow() {
        let mut scene = Scene::new();
        for _ in 0..100 {
            assert!(scene.host(SECOND, true, &[]).wait <= Some(LONGEST_WAIT));
        }
    }

    #[test]
    fn an_app_that_was_executing_in_three_deaths_within_a_minute_is_set_aside_and_no_other() {
        let mut scene = Scene::new();
        assert_eq!(scene.host(20 * SECOND, true, &[0, 1]).set_aside, [0_usize; 0]);
        assert_eq!(scene.host(20 * SECOND, true, &[1]).set_aside, [0_usize; 0]);
        assert_eq!(scene.host(20 * SECOND, true, &[1, 2]).set_aside, [1]);
        assert_eq!(scene.policy.aside(), [1]);
        assert_eq!(scene.host(20 * SECOND, true, &[1]).set_aside, [0_usize; 0], "told once");
        scene.policy.forgive();
        assert_eq!(scene.policy.aside(), [0_usize; 0]);
        assert_eq!(scene.host(SECOND, true, &[1]).set_aside, [0_usize; 0]);
    }

    #[test]
    fn deaths_further_apart_than_a_minute_are_not_held_together() {
        let mut scene = Scene::new();
        for _ in 0..10 {
            assert_eq!(scene.host(30 * SECOND, true, &[0]).set_aside, [0_usize; 0]);
        }
    }

    #[test]
    fn hosts_that_never_serve_are_given_up_after_a_few() {
        let mut scene = Scene::new();
        for _ in 1..TRIES {
            assert!(scene.host(SECOND, false, &[]).wait.is_some());
        }
        assert_eq!(scene.host(SECOND, false, &[]).wait, None);
    }

    #[test]
    fn a_host_that_served_or_does_without_an_app_starts_the_tries_again() {
        let mut scene = Scene::new();
        for _ in 1..TRIES {
            scene.host(SECOND, false, &[]);
        }
        assert!(scene.host(SECOND, true, &[]).wait.is_some());
        for round in 1..DEATHS + TRIES as usize {
            let verdict = scene.host(SECOND, false, &[0]);
            assert!(verdict.wait.is_some(), "{round}");
        }
        assert_eq!(scene.host(SECOND, false, &[0]).wait, None);
    }
}
