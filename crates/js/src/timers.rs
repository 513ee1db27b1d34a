//! The timers of one guest (HTML Standard, section 8.6), on the worker's event loop.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use crate::scope::ScopeKey;

/// A timer's handle, as `setTimeout` returns it: from 1. Those of [`INTERNAL`] timers are beyond what a guest can name.
pub(crate) type TimerId = u32;

/// The bit of timers that are no guest's to stop: of signals, messages, tasks.
const INTERNAL: TimerId = 1 << 31;

/// Which of several timers that are due fires first, by the priorities of the Prioritized Task Scheduling specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Priority {
    /// A task that somebody waits for.
    Blocking,
    /// What goes on after it has let others run.
    Continuation,
    /// Timers, messages, all other tasks.
    Usual,
    /// A task that may wait.
    Background,
}

impl Priority {
    const ALL: [Self; 4] = [Self::Blocking, Self::Continuation, Self::Usual, Self::Background];

    /// By its number in JavaScript.
    pub(crate) fn of(number: u32) -> Self {
        Self::ALL.get(number as usize).copied().unwrap_or(Self::Usual)
    }
}

/// What a timer is, besides its callback, its request and its time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    /// Fires again and again.
    pub(crate) repeats: bool,
    /// The standard's nesting level: 1, or one more than that of the timer in whose callback it was started.
    pub(crate) nesting: u32,
    /// The guest cannot stop it.
    pub(crate) internal: bool,
    pub(crate) priority: Priority,
}

/// A timer that is nested deeper waits for [`CLAMPED`] at least.
const FREE_NESTING: u32 = 6;
const CLAMPED: Duration = Duration::from_millis(4);

pub(crate) struct Timer {
    pub(crate) callback: v8::Global<v8::Function>,
    /// The request that started it.
    pub(crate) scope: ScopeKey,
    /// The period of an interval.
    repeat: Option<Duration>,
    nesting: u32,
    priority: Priority,
    due: (Instant, u64),
}

/// The timers that are to fire, in the order in which they will.
#[derive(Default)]
pub(crate) struct Timers {
    last: TimerId,
    /// Orders timers of the same instant by their start.
    sequence: u64,
    timers: HashMap<TimerId, Timer>,
    /// By priority.
    queues: [BTreeMap<(Instant, u64), TimerId>; Priority::ALL.len()],
}

impl Timers {
    /// Starts a timer.
    pub(crate) fn start(
        &mut self,
        callback: v8::Global<v8::Function>,
        scope: ScopeKey,
        delay: Duration,
        kind: Kind,
    ) -> TimerId {
        let id = loop {
            self.last = if self.last >= i32::MAX as u32 { 1 } else { self.last + 1 };
            let id = if kind.internal { self.last | INTERNAL } else { self.last };
            if !self.timers.contains_key(&id) {
                break id;
            }
        };
        let Kind { nesting, priority, .. } = kind;
        let due = self.next_due(clamped(delay, nesting));
        // An interval of 0 ms would starve everything else on the loop.
        let repeat = kind.repeats.then(|| delay.max(Duration::from_millis(1)));
        self.queues[priority as usize].insert(due, id);
        self.timers.insert(id, Timer { callback, scope, repeat, nesting, priority, due });
        id
    }

    /// Whether a timer is still to fire.
    pub(crate) fn contains(&self, id: TimerId) -> bool {
        self.timers.contains_key(&id)
    }

    /// Stops a timer and says which request it belonged to.
    pub(crate) fn stop(&mut self, id: TimerId) -> Option<ScopeKey> {
        let timer = self.timers.remove(&id)?;
        self.queues[timer.priority as usize].remove(&timer.due);
        Some(timer.scope)
    }

    /// When the next timer is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.queues.iter().filter_map(|queue| queue.first_key_value()).map(|((due, _), _)| *due).min()
    }

    /// A timer that is due at `now`: its callback and its request. One that does not repeat is gone then; the
    /// flag says so.
    pub(crate) fn take_due(
        &mut self,
        now: Instant,
    ) -> Option<(TimerId, v8::Global<v8::Function>, ScopeKey, bool)> {
        let queue =
            self.queues.iter_mut().find(|queue| queue.keys().next().is_some_and(|due| due.0 <= now))?;
        let (_, id) = queue.pop_first()?;
        let timer = self.timers.get_mut(&id)?;
        let (callback, scope) = (timer.callback.clone(), timer.scope);
        match timer.repeat {
            Some(period) => {
                self.sequence += 1;
                timer.nesting += 1;
                let period = clamped(period, timer.nesting);
                // From now on, not from when it was due: a late interval does not fire in a burst.
                timer.due = (now + period, self.sequence);
                queue.insert(timer.due, id);
                Some((id, callback, scope, false))
            }
            None => {
                self.timers.remove(&id);
                Some((id, callback, scope, true))
            }
        }
    }

    /// How many timers are to fire.
    pub(crate) fn len(&self) -> usize {
        self.timers.len()
    }

    fn next_due(&mut self, delay: Duration) -> (Instant, u64) {
        self.sequence += 1;
        (Instant::now() + delay, self.sequence)
    }
}

fn clamped(delay: Duration, nesting: u32) -> Duration {
    if nesting > FREE_NESTING { delay.max(CLAMPED) } else { delay }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_nested_deeply_waits_longer_than_it_asks_for() {
        let [none, long] = [Duration::ZERO, Duration::from_millis(5)];
        assert_eq!((clamped(none, 1), clamped(none, FREE_NESTING)), (none, none));
        assert_eq!((clamped(none, FREE_NESTING + 1), clamped(long, FREE_NESTING + 1)), (CLAMPED, long));
    }

    #[test]
    fn priorities_are_in_the_order_of_their_queues() {
        assert!(Priority::ALL.is_sorted());
        assert!(Priority::ALL.iter().enumerate().all(|(at, priority)| *priority as usize == at));
        assert_eq!(Priority::of(77), Priority::Usual);
    }
}
