//! Threads that were given up, and what they burn until they come to rest.

use std::time::{Duration, Instant};

/// How often their clocks are read.
const LOOK: Duration = Duration::from_secs(1);

/// They may burn so much CPU time in all until the process is to be replaced: only its end stops them. They come after
/// all other threads, but what they take counts against the processor's share that the process has. A replacement costs
/// each app a start, and an app that has it done again and again must not have that more often than once a minute for
/// each processor.
const MOST: Duration = Duration::from_secs(60);

/// The threads that were given up and do not rest, each with its `Worker`.
pub(super) struct Burning<Worker> {
    threads: Vec<Given<Worker>>,
    /// What those have burnt that rest by now.
    past: Duration,
    next: Option<Instant>,
}

struct Given<Worker> {
    worker: Worker,
    /// The thread's CPU time when it was given up, and since.
    base: Duration,
    burnt: Duration,
    /// The most that it held so far, in bytes.
    memory: u64,
}

/// What a look found.
pub(super) struct Found<Worker> {
    /// Those that came to rest since the last look, and what they had burnt.
    pub(super) resting: Vec<(Worker, Duration)>,
    /// Those that hold more than at the last look, and how many bytes more.
    pub(super) grown: Vec<(Worker, u64)>,
    /// What all have burnt, and how many still do, if that is too much; with one of them.
    pub(super) too_much: Option<(Worker, Duration, usize)>,
}

impl<Worker> Default for Burning<Worker> {
    fn default() -> Self {
        Self { threads: Vec::new(), past: Duration::ZERO, next: None }
    }
}

impl<Worker: Clone> Burning<Worker> {
    /// This worker was given up, when its thread had taken so much CPU time, and held so many bytes.
    pub(super) fn add(&mut self, worker: Worker, base: Duration, memory: u64) {
        self.threads.push(Given { worker, base, burnt: Duration::ZERO, memory });
    }

    /// Whether no thread burns.
    pub(super) fn is_empty(&self) -> bool {
        self.threads.is_empty()
    }

    /// Looks at them, if it is time. Reads a thread's clock by `cpu`, what it holds by `memory`, and whether it rests by
    /// `rests`.
    pub(super) fn look(
        &mut self,
        now: Instant,
        cpu: impl Fn(&Worker) -> Option<Duration>,
        memory: impl Fn(&Worker) -> u64,
        rests: impl Fn(&Worker) -> bool,
    ) -> Found<Worker> {
        let mut found = Found { resting: Vec::new(), grown: Vec::new(), too_much: None };
        if self.threads.is_empty() || self.next.is_some_and(|next| now < next) {
            return found;
        }
        self.next = Some(now + LOOK);
        self.threads.retain_mut(|given| {
            if let Some(cpu) = cpu(&given.worker) {
                given.burnt = given.burnt.max(cpu.saturating_sub(given.base));
            }
            // What it holds is noted before it rests, and does not change after that.
            let rests = rests(&given.worker);
            let more = memory(&given.worker).saturating_sub(given.memory);
            if more > 0 {
                given.memory += more;
                found.grown.push((given.worker.clone(), more));
            }
            if rests {
                self.past += given.burnt;
                found.resting.push((given.worker.clone(), given.burnt));
            }
            !rests
        });
        let sum = self.past + self.threads.iter().map(|given| given.burnt).sum::<Duration>();
        if let Some(given) = self.threads.first().filter(|_| sum >= MOST) {
            found.too_much = Some((given.worker.clone(), sum, self.threads.len()));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_threads_burn_counts_together_until_they_rest() {
        let start = Instant::now();
        let mut burning = Burning::default();
        // The first had taken 100 s when it was given up; it gets a whole processor, the second half of one.
        burning.add(1, 100 * SECOND, 5);
        burning.add(2, Duration::ZERO, 6);
        let is_over = Cell::new(false);
        let mut look = |second: u32| {
            let cpu = |worker: &u32| match worker {
                1 => Some(100 * SECOND + second.min(20) * SECOND),
                _ => Some(second * SECOND / 2),
            };
            let memory = |worker: &u32| if *worker == 1 { 5 + u64::from(second / 10) } else { 3 };
            burning.look(start + second * SECOND, cpu, memory, |worker| *worker == 1 && is_over.get())
        };
        for second in 0..=20 {
            let found = look(second);
            assert!(found.resting.is_empty() && found.too_much.is_none());
            // What the second holds may become less; its thread may need it again.
            let grown = if second > 0 && second % 10 == 0 { vec![(1, 1)] } else { Vec::new() };
            assert_eq!(found.grown, grown, "after {second} s");
        }
        is_over.set(true);
        assert_eq!(look(21).resting, [(1, 20 * SECOND)]);
        assert!(look(79).too_much.is_none(), "the second has burnt 39.5 s");
        assert_eq!(look(80).too_much, Some((2, 60 * SECOND, 1)));
    }

    #[test]
    fn threads_that_rest_are_not_too_much() {
        let start = Instant::now();
        let mut burning = Burning::default();
        burning.add((), Duration::ZERO, 7);
        assert!(!burning.is_empty());
        let found = burning.look(start, |()| Some(1000 * SECOND), |()| 9, |()| true);
        assert_eq!(
            (found.resting, found.grown, found.too_much),
            (vec![((), 1000 * SECOND)], vec![((), 2)], None)
        );
        assert!(burning.is_empty());
        assert!(burning.look(start + 2 * SECOND, |()| None, |()| 0, |()| false).resting.is_empty());
    }
}
