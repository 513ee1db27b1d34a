//! Waking other threads once for all that a thread has for them.
//!
//! A thread that is woken may have the processor at once, before the one that woke it goes on: with one request to take.
//! So an event loop first does all that it has to do just now, and then wakes who has got something from it.

use std::cell::{Cell, RefCell};
use std::task::{Context, Poll, Waker};

/// Who has asked for one thing by the end of a poll asks so often without waiting for more.
const ALONE: u32 = 64;

/// Among so many that are due one is looked for before it is added. Beyond them it may be woken more than once.
const SEEN: usize = 64;

/// Whom to wake.
#[derive(Debug, Default)]
pub(crate) struct Wakes {
    due: RefCell<Vec<Waker>>,
    /// How often [`Wakes::ask`] was told to wait since [`Wakes::begin`], and how often it is not told so.
    asked: Cell<u32>,
    alone: Cell<u32>,
    /// Of the task that wakes them. It runs behind those that have something to do by now.
    giver: RefCell<Option<Waker>>,
}

impl Wakes {
    /// Has this one woken soon; at once where nobody does so later.
    pub(crate) fn add(&self, waker: Waker) {
        let mut due = self.due.borrow_mut();
        // One that was woken takes all that there is for it, and is not to be woken for the next parcel that it has taken.
        if due.iter().rev().take(SEEN).any(|other| other.will_wake(&waker)) {
            return;
        }
        let giver = self.giver.borrow_mut().take();
        if giver.is_none() && due.is_empty() {
            drop(due);
            return waker.wake();
        }
        due.push(waker);
        drop(due);
        if let Some(giver) = giver {
            giver.wake();
        }
    }

    /// Somebody is asked for something. Whether who is to answer is better woken soon, with what is asked until then: where
    /// that was one thing only, the next ones are taken to be alone, too.
    pub(crate) fn ask(&self) -> bool {
        match self.alone.get() {
            0 => {
                self.asked.set(self.asked.get() + 1);
                true
            }
            alone => {
                self.alone.set(alone - 1);
                false
            }
        }
    }

    /// What was asked so far is on its way.
    pub(crate) fn begin(&self) {
        if self.asked.replace(0) == 1 {
            self.alone.set(ALONE);
        }
    }

    /// Wakes all.
    pub(crate) fn give(&self) {
        let due = std::mem::take(&mut *self.due.borrow_mut());
        for waker in due {
            waker.wake();
        }
    }

    /// Wakes those that are due whenever it is polled; never ready.
    pub(crate) fn poll_give(&self, cx: &Context<'_>) -> Poll<std::convert::Infallible> {
        self.give();
        *self.giver.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Wakes all, and from now on each at once.
    pub(crate) fn close(&self) {
        *self.giver.borrow_mut() = None;
        self.give();
    }
}

impl Drop for Wakes {
    fn drop(&mut self) {
        // Nobody is forgotten.
        self.give();
    }
}

#[cfg(test)]
pub(super) mod testing {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    /// Counts how often it was woken.
    #[derive(Default)]
    pub(in crate::front) struct Counter(AtomicUsize);

    impl Counter {
        pub(in crate::front) fn count(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::testing::Counter;
    use super::*;

    #[test]
    fn they_are_woken_where_somebody_gives_and_else_at_once() {
        let (wakes, woken, giver) =
            (Wakes::default(), [(); 2].map(|()| Arc::new(Counter::default())), Arc::new(Counter::default()));
        let count = || woken.each_ref().map(|one| one.count());
        let add = |one: usize| wakes.add(woken[one].clone().into());
        add(0);
        assert_eq!(count(), [1, 0], "nobody gives");
        let waker = giver.clone().into();
        let cx = Context::from_waker(&waker);
        assert!(wakes.poll_give(&cx).is_pending());
        (0..2).for_each(add);
        add(1);
        assert_eq!((count(), giver.count()), ([1, 0], 1));
        assert!(wakes.poll_give(&cx).is_pending());
        assert_eq!(count(), [2, 1]);
        wakes.close();
        add(1);
        assert_eq!((count(), giver.count()), ([2, 2], 1), "nobody gives any more");
    }

    #[test]
    fn who_asks_for_one_thing_at_a_time_does_not_wait() {
        let wakes = Wakes::default();
        let poll = |asked: usize| {
            let waited = (0..asked).filter(|_| wakes.ask()).count();
            wakes.begin();
            waited
        };
        assert_eq!([poll(3), poll(2), poll(0), poll(5)], [3, 2, 0, 5]);
        assert_eq!(poll(1), 1);
        // From then on, until it is tried once more.
        assert_eq!((0..ALONE).map(|_| poll(1)).sum::<usize>(), 0);
        assert_eq!([poll(1), poll(1)], [1, 0]);
        assert_eq!(poll(ALONE as usize + 9), 10);
        assert_eq!(poll(2), 2);
    }

    #[test]
    fn the_giver_is_woken_once_and_wakes_each_that_is_due() {
        let (wakes, giver, others) =
            (Wakes::default(), Arc::new(Counter::default()), [(); 3].map(|()| Arc::new(Counter::default())));
        let waker = giver.clone().into();
        let cx = Context::from_waker(&waker);
        assert!(wakes.poll_give(&cx).is_pending());
        for other in &others {
            let waker: Waker = other.clone().into();
            wakes.add(waker);
        }
        // Once more in turn, as requests for several apps come.
        others.iter().for_each(|other| wakes.add(other.clone().into()));
        assert_eq!((giver.count(), others.each_ref().map(|other| other.count())), (1, [0; 3]));
        assert!(wakes.poll_give(&cx).is_pending());
        assert_eq!((giver.count(), others.each_ref().map(|other| other.count())), (1, [1; 3]));
        wakes.add(others[0].clone().into());
        assert_eq!(giver.count(), 2);
        drop(wakes);
        assert_eq!(others[0].count(), 2);
    }
}
