//! The places in a worker's guest, and the requests that wait for one.
//!
//! A request that finds a place free and nobody waiting costs two comparisons and an addition here. All else is for
//! those that wait: in the order in which they came, so many of them at most, and for so long at most.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use nexus_core::{Limit, Limits};
use nexus_guest::{Request, Responder};
use tokio::sync::Notify;

/// A request that waits.
pub(super) struct Waiting {
    pub(super) request: Request,
    pub(super) responder: Responder,
    /// The service's name for it.
    pub(super) key: u64,
    /// When it has waited long enough.
    pub(super) due: Instant,
}

/// What a request waits for is its turn here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Turn(u64);

/// Who is in, and who waits.
pub(super) struct Queue {
    places: usize,
    /// How many may still enter before [`Queue::renew`], where each guest serves one request only.
    left: Option<Cell<usize>>,
    taken: Cell<usize>,
    max_waiting: usize,
    waiting: RefCell<BTreeMap<u64, Waiting>>,
    /// How many wait: a look at the queue for those who only want to know whether it is empty.
    length: Cell<usize>,
    /// The same, for other threads.
    published: Arc<AtomicUsize>,
    next_turn: Cell<u64>,
    /// Told when there may be something to do for whoever serves the queue.
    changed: Notify,
}

impl Queue {
    /// A queue within an app's limits; if `one_each`, each guest serves one request. How many wait is to be read there
    /// by other threads.
    pub(super) fn new(limits: &Limits, one_each: bool, published: Arc<AtomicUsize>) -> Self {
        Self {
            places: limits.size(Limit::Requests),
            left: one_each.then(|| Cell::new(1)),
            taken: Cell::new(0),
            max_waiting: limits.size(Limit::Queue),
            waiting: RefCell::default(),
            length: Cell::new(0),
            published,
            next_turn: Cell::new(0),
            changed: Notify::new(),
        }
    }

    /// Takes a place, unless there is none or somebody has waited for it before.
    #[inline]
    pub(super) fn enter(&self) -> bool {
        let is_free = self.length.get() == 0 && self.has_place();
        if is_free {
            self.take();
        }
        is_free
    }

    /// How many wait.
    pub(super) fn length(&self) -> usize {
        self.length.get()
    }

    /// Gives a place back.
    #[inline]
    pub(super) fn leave(&self) {
        debug_assert!(self.taken.get() > 0, "who leaves has entered");
        self.taken.set(self.taken.get().saturating_sub(1));
        if self.length.get() > 0 {
            self.changed.notify_one();
        }
    }

    fn has_place(&self) -> bool {
        self.taken.get() < self.places && self.left.as_ref().is_none_or(|left| left.get() > 0)
    }

    fn take(&self) {
        self.taken.set(self.taken.get() + 1);
        if let Some(left) = &self.left {
            left.set(left.get().saturating_sub(1));
        }
    }

    /// There is another guest.
    pub(super) fn renew(&self) {
        if let Some(left) = &self.left {
            left.set(1);
        }
    }

    /// Whether the guest has served its one request, as far as the host knows.
    pub(super) fn is_spent(&self) -> bool {
        self.left.as_ref().is_some_and(|left| left.get() == 0) && self.taken.get() == 0
    }

    /// Has a request wait behind all others. Those that came later must not be due before it.
    ///
    /// # Errors
    /// With the request, if as many wait already as may.
    pub(super) fn wait(&self, waiting: Waiting) -> Result<Turn, Box<Waiting>> {
        if self.length.get() >= self.max_waiting {
            return Err(Box::new(waiting));
        }
        let turn = self.next_turn.get();
        self.next_turn.set(turn + 1);
        self.waiting.borrow_mut().insert(turn, waiting);
        self.count();
        self.changed.notify_one();
        Ok(Turn(turn))
    }

    /// The request has been answered, or its client has gone.
    pub(super) fn forget(&self, turn: Turn) {
        // Dropped when nothing is borrowed any more.
        let _gone = self.waiting.borrow_mut().remove(&turn.0);
        self.count();
    }

    /// The first that waits, with a place taken for it; `None` while there is neither.
    pub(super) fn admit(&self) -> Option<Waiting> {
        if !self.has_place() {
            return None;
        }
        let (_, first) = self.waiting.borrow_mut().pop_first()?;
        self.count();
        self.take();
        Some(first)
    }

    /// The first that waits, if it is due.
    pub(super) fn overdue(&self, now: Instant) -> Option<Waiting> {
        let mut waiting = self.waiting.borrow_mut();
        let first = waiting.first_entry()?;
        let overdue = (first.get().due <= now).then(|| first.remove());
        drop(waiting);
        self.count();
        overdue
    }

    /// When the first that waits is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.waiting.borrow().first_key_value().map(|(_, first)| first.due)
    }

    /// All that wait.
    pub(super) fn take_all(&self) -> impl Iterator<Item = Waiting> + use<> {
        let all = std::mem::take(&mut *self.waiting.borrow_mut());
        self.count();
        all.into_values()
    }

    /// Waits until there may be something to do. Only one may wait.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Wakes who waits in [`Queue::changed`].
    pub(super) fn wake(&self) {
        self.changed.notify_one();
    }

    fn count(&self) {
        let length = self.waiting.borrow().len();
        self.length.set(length);
        // Relaxed: a gauge.
        self.published.store(length, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nexus_guest::{Body, ClientAddress, HeaderList, RequestId, exchange};
    use std::time::Duration;

    fn queue(requests: u64, waiting: u64) -> Queue {
        let mut limits = Limits::default();
        limits.set(Limit::Requests, requests);
        limits.set(Limit::Queue, waiting);
        Queue::new(&limits, false, Arc::default())
    }

    fn request(key: u64, due: Instant) -> Waiting {
        let request = Request {
            id: RequestId::from_u128(key.into()),
            method: "GET".into(),
            url: String::new(),
            headers: HeaderList::new(),
            body: Body::Empty,
            client: ClientAddress::Unix,
            event: Default::default(),
        };
        Waiting { request, responder: exchange().0, key, due }
    }

    #[test]
    fn as_many_as_there_are_places_enter_and_the_others_follow_in_order() {
        let queue = queue(2, 10);
        let now = Instant::now();
        assert!(queue.enter() && queue.enter() && !queue.enter());
        for key in 1..=3 {
            assert!(queue.wait(request(key, now)).is_ok());
        }
        assert!(queue.admit().is_none());
        queue.leave();
        assert!(!queue.enter(), "nobody comes before those who wait");
        assert_eq!(queue.admit().map(|waiting| waiting.key), Some(1));
        assert!(queue.admit().is_none());
        queue.leave();
        queue.leave();
        assert_eq!(queue.admit().map(|waiting| waiting.key), Some(2));
        assert_eq!(queue.admit().map(|waiting| waiting.key), Some(3));
        queue.leave();
        assert!(queue.enter());
    }

    #[test]
    fn the_queue_is_bounded_and_who_leaves_it_makes_room() {
        let queue = queue(1, 2);
        let now = Instant::now();
        assert!(queue.enter());
        let first = queue.wait(request(1, now)).ok().unwrap();
        assert!(queue.wait(request(2, now)).is_ok());
        assert_eq!(queue.wait(request(3, now)).err().map(|refused| refused.key), Some(3));
        queue.forget(first);
        assert!(queue.wait(request(4, now)).is_ok());
        queue.leave();
        assert_eq!(queue.admit().map(|waiting| waiting.key), Some(2));
    }

    #[test]
    fn who_has_waited_for_too_long_goes_in_order_and_no_earlier() {
        let queue = queue(1, 10);
        let now = Instant::now();
        assert!(queue.enter());
        for key in 1..=3 {
            assert!(queue.wait(request(key, now + Duration::from_millis(key))).is_ok());
        }
        let at = now + Duration::from_millis(2);
        assert_eq!(queue.overdue(at).map(|waiting| waiting.key), Some(1));
        assert_eq!(queue.overdue(at).map(|waiting| waiting.key), Some(2));
        assert!(queue.overdue(at).is_none());
        assert_eq!(queue.next_due(), Some(now + Duration::from_millis(3)));
        queue.leave();
        assert_eq!(queue.admit().map(|waiting| waiting.key), Some(3));
        assert_eq!(queue.next_due(), None);
    }
}
