//! Waking other threads once for all that a thread has for them.
//!
//! A thread that is woken may have the processor at once, before the one that woke it goes on: with one request to take.
//! So an event loop first does all that it has to do just now, and then wakes who has got something from it.

use std::cell::{Cell, RefCell};
use std::task::{Context, Poll, Waker};

/// Whom to wake.
#[derive(Debug, Default)]
pub(crate) struct Wakes {
    due: RefCell<Vec<Waker>>,
    /// Whether one was woken at once since [`Wakes::begin`].
    has_hurried: Cell<bool>,
    /// Of the task that wakes them. It runs behind those that have something to do by now.
    giver: RefCell<Option<Waker>>,
}

impl Wakes {
    /// Has this one woken soon; at once where nobody does so later.
    pub(crate) fn add(&self, waker: Waker) {
        let mut due = self.due.borrow_mut();
        if due.last().is_some_and(|last| last.will_wake(&waker)) {
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

    /// Has this one woken: at once if it is the first since [`Wakes::begin`], for most are alone; the others with it, soon.
    pub(crate) fn hurry(&self, waker: Waker) {
        match self.has_hurried.replace(true) {
            false => waker.wake(),
            true => self.add(waker),
        }
    }

    /// What is done next may have several woken.
    pub(crate) fn begin(&self) {
        self.has_hurried.set(false);
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
    fn the_first_is_woken_at_once_and_the_others_where_somebody_gives() {
        let (wakes, woken, giver) =
            (Wakes::default(), [(); 2].map(|()| Arc::new(Counter::default())), Arc::new(Counter::default()));
        let count = || woken.each_ref().map(|one| one.count());
        let hurry = |one: usize| wakes.hurry(woken[one].clone().into());
        hurry(0);
        hurry(1);
        assert_eq!(count(), [1, 1], "nobody gives");
        let waker = giver.clone().into();
        let cx = Context::from_waker(&waker);
        assert!(wakes.poll_give(&cx).is_pending());
        wakes.begin();
        hurry(0);
        hurry(1);
        hurry(1);
        assert_eq!((count(), giver.count()), ([2, 1], 1));
        assert!(wakes.poll_give(&cx).is_pending());
        assert_eq!(count(), [2, 2]);
        wakes.close();
        hurry(1);
        assert_eq!((count(), giver.count()), ([2, 3], 1), "nobody gives any more");
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
            wakes.add(waker.clone());
            wakes.add(waker);
        }
        assert_eq!((giver.count(), others.each_ref().map(|other| other.count())), (1, [0; 3]));
        assert!(wakes.poll_give(&cx).is_pending());
        assert_eq!((giver.count(), others.each_ref().map(|other| other.count())), (1, [1; 3]));
        wakes.add(others[0].clone().into());
        assert_eq!(giver.count(), 2);
        drop(wakes);
        assert_eq!(others[0].count(), 2);
    }
}
