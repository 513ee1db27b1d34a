//! The signal to stop: idle connections close at once, the others after their requests in flight. Where somebody else
//! goes on accepting, idle ones get some time: a client that is about to send a request, unaware of all this, must not
//! lose it. Where another thread can take connections, they move there instead; see [`super::moving`].
//!
//! A connection registers its waker once in its life, so that the signal costs a request nothing
//! but a look at a flag.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::Instant;

use super::moving::Inbox;
use super::timer::within;

/// How long idle connections may still send a request where somebody else goes on accepting.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// A signal to all connections of a worker. Clones are the same signal.
#[derive(Clone, Default)]
pub(crate) struct Shutdown {
    signal: Rc<Signal>,
}

#[derive(Default)]
struct Signal {
    begun: Cell<bool>,
    /// When idle connections close; at once if there is none.
    idle_until: Cell<Option<Instant>>,
    /// Where connections are to move, and how many of them.
    target: RefCell<Option<(Inbox, usize)>>,
    /// Whether there is such a target: a look for who has just answered a request.
    moves: Cell<bool>,
    /// The waiting tasks; `None` where a place is free.
    waiting: RefCell<Vec<Option<Waker>>>,
    free: RefCell<Vec<usize>>,
}

impl Shutdown {
    /// A signal that was not given yet.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Gives the signal, and leaves idle connections five seconds for another request, which is their last.
    pub(crate) fn drain(&self) {
        if !self.has_begun() {
            self.signal.idle_until.set(Some(within(PATIENCE)));
            self.begin();
        }
    }

    /// Gives the signal, and has all connections move there.
    pub(crate) fn move_to(&self, inbox: Inbox) {
        if !self.has_begun() {
            self.moves(inbox, usize::MAX);
            self.signal.idle_until.set(Some(within(PATIENCE)));
            self.give();
        }
    }

    /// Has so many connections move there, each at its next request's end. The others stay, and no signal is given.
    pub(crate) fn share(&self, inbox: Inbox, count: usize) {
        if !self.has_begun() && count > 0 {
            self.moves(inbox, count);
        }
    }

    fn moves(&self, inbox: Inbox, count: usize) {
        *self.signal.target.borrow_mut() = Some((inbox, count));
        self.signal.moves.set(true);
    }

    /// Where a connection is to move that is between two requests.
    #[inline]
    pub(super) fn next_move(&self) -> Option<Inbox> {
        if self.signal.moves.get() { self.take_move() } else { None }
    }

    #[cold]
    fn take_move(&self) -> Option<Inbox> {
        let mut target = self.signal.target.borrow_mut();
        let (inbox, count) = target.as_mut()?;
        let inbox = inbox.clone();
        *count -= 1;
        if *count == 0 {
            *target = None;
            self.signal.moves.set(false);
        }
        Some(inbox)
    }

    /// Whether connections close after their requests in flight, and do not move.
    #[inline]
    pub(super) fn closes(&self) -> bool {
        self.has_begun() && !self.signal.moves.get()
    }

    /// Until when a connection may be idle once the signal was given; `None` if it is to close at once.
    pub(super) fn idle_until(&self) -> Option<Instant> {
        self.signal.idle_until.get()
    }

    /// Gives the signal. It cannot be taken back.
    pub(crate) fn begin(&self) {
        if !self.has_begun() {
            // Whoever was to have a part of the connections ends, too.
            self.signal.target.borrow_mut().take();
            self.signal.moves.set(false);
            self.give();
        }
    }

    fn give(&self) {
        self.signal.begun.set(true);
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
    fn so_many_move_as_are_to_be_shared_and_all_when_the_thread_retires() {
        let shutdown = Shutdown::new();
        assert!(shutdown.next_move().is_none());
        shutdown.share(Inbox::new(), 2);
        assert!(!shutdown.has_begun() && !shutdown.closes());
        assert!(shutdown.next_move().is_some() && shutdown.next_move().is_some());
        assert!(shutdown.next_move().is_none());
        shutdown.move_to(Inbox::new());
        assert!(shutdown.has_begun() && !shutdown.closes());
        shutdown.share(Inbox::new(), 1);
        assert!((0..9).all(|_| shutdown.next_move().is_some()));
        let other = Shutdown::new();
        other.drain();
        assert!(other.closes() && other.next_move().is_none());
    }

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
