//! The timers of one guest (HTML Standard, section 8.6), on the worker's event loop.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use crate::scope::ScopeKey;

/// A timer's handle, as `setTimeout` returns it: from 1.
pub(crate) type TimerId = u32;

pub(crate) struct Timer {
    pub(crate) callback: v8::Global<v8::Function>,
    /// The request that started it.
    pub(crate) scope: ScopeKey,
    /// The period of an interval.
    repeat: Option<Duration>,
    due: (Instant, u64),
}

/// The timers that are to fire, in the order in which they will.
#[derive(Default)]
pub(crate) struct Timers {
    last: TimerId,
    /// Orders timers of the same instant by their start.
    sequence: u64,
    timers: HashMap<TimerId, Timer>,
    queue: BTreeMap<(Instant, u64), TimerId>,
}

impl Timers {
    /// Starts a timer.
    pub(crate) fn start(
        &mut self,
        callback: v8::Global<v8::Function>,
        scope: ScopeKey,
        delay: Duration,
        repeat: bool,
    ) -> TimerId {
        loop {
            self.last = if self.last >= i32::MAX as u32 { 1 } else { self.last + 1 };
            if !self.timers.contains_key(&self.last) {
                break;
            }
        }
        let id = self.last;
        let due = self.next_due(delay);
        // An interval of 0 ms would starve everything else on the loop.
        let repeat = repeat.then(|| delay.max(Duration::from_millis(1)));
        self.queue.insert(due, id);
        self.timers.insert(id, Timer { callback, scope, repeat, due });
        id
    }

    /// Stops a timer and says which request it belonged to.
    pub(crate) fn stop(&mut self, id: TimerId) -> Option<ScopeKey> {
        let timer = self.timers.remove(&id)?;
        self.queue.remove(&timer.due);
        Some(timer.scope)
    }

    /// When the next timer is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.queue.first_key_value().map(|((due, _), _)| *due)
    }

    /// A timer that is due at `now`: its callback and its request. One that does not repeat is gone then; the
    /// flag says so.
    pub(crate) fn take_due(
        &mut self,
        now: Instant,
    ) -> Option<(TimerId, v8::Global<v8::Function>, ScopeKey, bool)> {
        let (&due, &id) = self.queue.first_key_value()?;
        if due.0 > now {
            return None;
        }
        self.queue.remove(&due);
        let timer = self.timers.get_mut(&id)?;
        let (callback, scope) = (timer.callback.clone(), timer.scope);
        match timer.repeat {
            Some(period) => {
                self.sequence += 1;
                // From now on, not from when it was due: a late interval does not fire in a burst.
                timer.due = (now + period, self.sequence);
                self.queue.insert(timer.due, id);
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
