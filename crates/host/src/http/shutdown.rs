//! The signal to stop: idle connections close at once, the others after their requests in flight.
//!
//! A connection registers its waker once in its life, so that the signal costs a request nothing
//! but a look at a flag.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// A signal to all connections of a worker. Clones are the same signal.
#[derive(Clone, Default)]
pub(crate) struct Shutdown {
    signal: Rc<Signal>,
}

#[derive(Default)]
struct Signal {
    begun: Cell<bool>,
    /// The waiting tasks; `None` where a place is free.
    waiting: RefCell<Vec<Option<Waker>>>,
    free: RefCell<Vec<usize>>,
}

impl Shutdown {
    /// A signal that was not given yet.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Gives the signal. It cannot be taken back.
    pub(crate) fn begin(&self) {
        if self.signal.begun.replace(true) {
            return;
        }
        let wakers: Vec<Waker> = self.signal.waiting.borrow().iter().flatten().cloned().collect();
        for waker in wakers {
            waker.wake();
        }
    }

    /// Whether the signal was given.
    pub(crate) fn has_begun(&self) -> bool {
        self.signal.begun.get()
    }

    /// Waits for the signal.
    pub(crate) async fn begun(&self) {
        let mut listening = Listening::new(self);
        poll_fn(|cx| listening.poll(cx)).await;
    }
}

/// A task's place among those that wait.
pub(super) struct Listening {
    shutdown: Shutdown,
    place: Option<usize>,
}

impl Listening {
    pub(super) fn new(shutdown: &Shutdown) -> Self {
        Self { shutdown: shutdown.clone(), place: None }
    }

    /// Ready once the signal was given. All calls must come from the same task: its waker is taken once.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.shutdown.has_begun() {
            return Poll::Ready(());
        }
        if self.place.is_none() {
            let waker = Some(cx.waker().clone());
            let mut waiting = self.shutdown.signal.waiting.borrow_mut();
            let place = self.shutdown.signal.free.borrow_mut().pop();
            self.place = Some(match place {
                Some(place) => {
                    waiting[place] = waker;
                    place
                }
                None => {
                    waiting.push(waker);
                    waiting.len() - 1
                }
            });
        }
        Poll::Pending
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.shutdown.signal.waiting.borrow_mut()[place] = None;
            self.shutdown.signal.free.borrow_mut().push(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::task::noop_waker;

    #[test]
    fn a_place_is_used_again_and_the_signal_reaches_who_waits() {
        let shutdown = Shutdown::new();
        let waker = noop_waker();
        let mut cx = Context::from_waker(&waker);
        for _ in 0..3 {
            assert!(Listening::new(&shutdown).poll(&mut cx).is_pending());
        }
        assert_eq!(shutdown.signal.waiting.borrow().len(), 1);
        let mut listening = Listening::new(&shutdown);
        assert!(listening.poll(&mut cx).is_pending());
        shutdown.begin();
        assert!(listening.poll(&mut cx).is_ready());
    }
}
