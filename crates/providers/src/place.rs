//! The connections to one host and port: those that are idle, and who waits for one.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use tokio::time::{Instant, Sleep, sleep};

use crate::evict::Responses;
use crate::h1::H1;
use crate::h2::{H2, H2Stream};
use crate::pool::{Key, PATIENCE, Pool};

/// The connections to one host and port.
pub(crate) struct Place {
    pool: Weak<Pool>,
    pub(crate) key: Key,
    limit: usize,
    /// How many there are, those included that are being opened.
    open: Cell<usize>,
    opening: Cell<usize>,
    /// Whether the peer is known not to speak HTTP/2.
    plain: Cell<bool>,
    /// Those without a request, the longest idle first.
    idle: RefCell<Vec<H1>>,
    h2: RefCell<Option<Rc<H2>>>,
    /// Who waits, by rising tickets.
    queue: RefCell<VecDeque<Waiting>>,
    pub(crate) responses: Responses,
}

struct Waiting {
    ticket: u64,
    waker: Option<Waker>,
}

/// What a request gets whose turn it is.
pub(crate) enum Taken {
    /// An idle connection.
    H1(H1),
    /// A stream.
    H2(H2Stream),
    /// The right to open a connection.
    Open(Opening),
}

/// What a request waits for whose turn it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wait {
    /// A connection to its host, or a stream.
    Own,
    /// Any connection to be closed: there are too many in all.
    Any,
}

/// A connection's part of the limits. Belongs to the connection.
pub(crate) struct Slot(Weak<Place>);

/// A slot whose connection is being opened.
pub(crate) struct Opening {
    place: Rc<Place>,
    slot: Option<Slot>,
}

impl Place {
    pub(crate) fn new(pool: &Rc<Pool>, key: Key, limit: usize) -> Self {
        Self {
            pool: Rc::downgrade(pool),
            limit,
            open: Cell::new(0),
            opening: Cell::new(0),
            plain: Cell::new(!key.secure),
            key,
            idle: RefCell::default(),
            h2: RefCell::new(None),
            queue: RefCell::default(),
            responses: Responses::default(),
        }
    }

    /// Waits for a connection, in order; with `fresh` for one that was opened after that.
    pub(crate) async fn take(self: &Rc<Self>, pool: &Rc<Pool>, fresh: Option<Instant>) -> Taken {
        let turn = Turn::new(self, pool);
        let mut patience: Option<Pin<Box<Sleep>>> = None;
        poll_fn(|cx| {
            loop {
                if let Some(taken) = turn.poll(cx, fresh) {
                    return Poll::Ready(taken);
                }
                // The others need no clock: who becomes the next is woken.
                if !turn.is_next() {
                    return Poll::Pending;
                }
                let timer = patience.get_or_insert_with(|| Box::pin(sleep(PATIENCE)));
                if timer.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                timer.as_mut().reset(Instant::now() + PATIENCE);
                turn.evict();
            }
        })
        .await
    }

    fn try_take(
        self: &Rc<Self>,
        pool: &Rc<Pool>,
        ticket: u64,
        fresh: Option<Instant>,
    ) -> Result<Taken, Wait> {
        self.forget_closed();
        let is_stale = |h2: &Rc<H2>| fresh.is_some_and(|fresh| h2.opened < fresh);
        if self.h2.borrow().as_ref().is_some_and(is_stale) {
            self.forget_h2();
        }
        if let Some(h2) = &*self.h2.borrow() {
            return if h2.has_room() { Ok(Taken::H2(H2Stream::new(h2))) } else { Err(Wait::Own) };
        }
        if fresh.is_some() {
            // Its likes failed just now.
            if self.open.get() >= self.limit {
                self.drop_oldest();
            }
        } else if pool.is_owed(ticket) {
            return Err(Wait::Any);
        } else {
            loop {
                let last = self.idle.borrow_mut().pop();
                match last {
                    Some(h1) if h1.is_closed() => drop(h1),
                    Some(h1) => return Ok(Taken::H1(h1)),
                    None => break,
                }
            }
        }
        // The first connection tells whether the others are needed.
        if !self.plain.get() && self.opening.get() > 0 {
            return Err(Wait::Own);
        }
        if self.open.get() >= self.limit {
            return Err(Wait::Own);
        }
        if !pool.may_open(ticket) {
            return Err(Wait::Any);
        }
        self.open.set(self.open.get() + 1);
        self.opening.set(self.opening.get() + 1);
        pool.opened();
        let slot = Some(Slot(Rc::downgrade(self)));
        Ok(Taken::Open(Opening { place: self.clone(), slot }))
    }

    /// Cancels the oldest response that nobody reads, if nothing else would make a connection free.
    fn evict(&self) {
        let full = self.h2.borrow().clone();
        if let Some(evicted) = self.responses.evict(self.open.get(), full.as_ref())
            && let Some(pool) = self.pool.upgrade()
        {
            pool.warn(&evicted);
        }
    }

    /// Adds an idle connection. Within the worker's `LocalSet`.
    pub(crate) fn put(&self, h1: H1) {
        let Some(pool) = self.pool.upgrade() else { return };
        self.idle.borrow_mut().push(h1);
        self.wake();
        pool.wake();
        pool.sweep();
    }

    /// Has the connection that everybody shares. Within the worker's `LocalSet`.
    pub(crate) fn share(&self, h2: &Rc<H2>) {
        self.plain.set(false);
        let before = self.h2.borrow_mut().replace(h2.clone());
        drop(before);
        if let Some(pool) = self.pool.upgrade() {
            pool.sweep();
        }
        self.wake();
    }

    /// The peer speaks HTTP/1.1.
    pub(crate) fn is_plain(&self) {
        self.plain.set(true);
        self.wake();
    }

    /// A stream has ended.
    pub(crate) fn idle_again(&self) {
        self.wake();
        if let Some(pool) = self.pool.upgrade() {
            pool.wake();
            pool.sweep();
        }
    }

    /// How many HTTP/1 connections are idle, since when the first of them is, and since when the shared one is.
    pub(crate) fn idle(&self) -> (usize, Option<Instant>, Option<Instant>) {
        let idle = self.idle.borrow();
        let h2 = self.h2.borrow().as_ref().and_then(|h2| h2.idle_since());
        (idle.len(), idle.first().map(|h1| h1.since), h2)
    }

    /// Closes the connection that is idle for longest: the shared one, or the first of the others.
    pub(crate) fn close_one(&self, is_h2: bool) {
        if is_h2 { self.forget_h2() } else { self.drop_oldest() }
    }

    /// Closes all that is idle.
    pub(crate) fn close_all(&self) {
        self.forget_h2();
        let idle = std::mem::take(&mut *self.idle.borrow_mut());
        drop(idle);
    }

    fn forget_h2(&self) {
        let h2 = self.h2.borrow_mut().take();
        drop(h2);
    }

    /// Lets go of a shared connection that takes no more requests.
    pub(crate) fn forget_closed(&self) {
        if self.h2.borrow().as_ref().is_some_and(|h2| !h2.is_open()) {
            self.forget_h2();
            self.wake();
        }
    }

    /// Lets go of idle connections that their peer has closed.
    pub(crate) fn drop_closed(&self) {
        let closed: Vec<H1> = self.idle.borrow_mut().extract_if(.., |h1| h1.is_closed()).collect();
        drop(closed);
    }

    fn drop_oldest(&self) {
        let oldest = {
            let mut idle = self.idle.borrow_mut();
            if idle.is_empty() { None } else { Some(idle.remove(0)) }
        };
        drop(oldest);
    }

    /// Closes what is idle since `before`, and says since when the rest is, which may become idle only now.
    pub(crate) fn close_idle(&self, before: Option<Instant>) -> Option<Instant> {
        let is_old = |since: Instant| before.is_some_and(|before| since <= before);
        let old: Vec<H1> = self.idle.borrow_mut().extract_if(.., |h1| is_old(h1.since)).collect();
        drop(old);
        let idle = self.h2.borrow().as_ref().map(|h2| h2.idle_since());
        if let Some(Some(since)) = idle
            && is_old(since)
        {
            self.forget_h2();
        }
        let h2 = self.h2.borrow().as_ref().map(|h2| h2.idle_since().unwrap_or_else(Instant::now));
        let first = self.idle.borrow().first().map(|h1| h1.since);
        first.into_iter().chain(h2).min()
    }

    /// Wakes the first that waits: something may have become free.
    pub(crate) fn wake(&self) {
        let waker = self.queue.borrow_mut().front_mut().and_then(|first| first.waker.take());
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Leaves the pool where nothing is left of it.
    fn leave(&self) {
        if self.open.get() == 0
            && self.queue.borrow().is_empty()
            && let Some(pool) = self.pool.upgrade()
        {
            pool.forget(&self.key);
        }
    }
}

/// A request's place in the queue. Left when it is dropped.
struct Turn<'a> {
    place: &'a Rc<Place>,
    pool: &'a Rc<Pool>,
    ticket: u64,
    /// Whether it waits in the pool's queue as well.
    enlisted: Cell<bool>,
}

impl<'a> Turn<'a> {
    fn new(place: &'a Rc<Place>, pool: &'a Rc<Pool>) -> Self {
        let ticket = pool.ticket();
        place.queue.borrow_mut().push_back(Waiting { ticket, waker: None });
        Self { place, pool, ticket, enlisted: Cell::new(false) }
    }

    fn is_first(&self) -> bool {
        self.place.queue.borrow().front().is_some_and(|first| first.ticket == self.ticket)
    }

    /// Whether nobody gets before it what it waits for.
    fn is_next(&self) -> bool {
        self.is_first() && (!self.enlisted.get() || self.pool.is_first(self.ticket))
    }

    fn poll(&self, cx: &mut Context<'_>, fresh: Option<Instant>) -> Option<Taken> {
        if self.is_first() {
            match self.place.try_take(self.pool, self.ticket, fresh) {
                Ok(taken) => return Some(taken),
                Err(Wait::Any) => {
                    if !self.enlisted.replace(true) {
                        self.pool.enlist(self.ticket, self.place);
                    }
                }
                Err(Wait::Own) => {
                    if self.enlisted.replace(false) {
                        self.pool.strike(self.ticket);
                    }
                }
            }
        }
        let mut queue = self.place.queue.borrow_mut();
        if let Ok(at) = queue.binary_search_by_key(&self.ticket, |waiting| waiting.ticket)
            && let Some(waiting) = queue.get_mut(at)
        {
            waiting.waker = Some(cx.waker().clone());
        }
        None
    }

    /// Makes room, where nobody reads the responses that hold what it waits for.
    fn evict(&self) {
        if self.enlisted.get() {
            self.pool.evict();
        } else {
            self.place.evict();
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        {
            let mut queue = self.place.queue.borrow_mut();
            if let Ok(at) = queue.binary_search_by_key(&self.ticket, |waiting| waiting.ticket) {
                queue.remove(at);
            }
        }
        self.place.wake();
        if self.enlisted.get() {
            self.pool.strike(self.ticket);
        }
        self.place.leave();
    }
}

impl Opening {
    /// The place that it is for.
    pub(crate) fn place(&self) -> &Rc<Place> {
        &self.place
    }

    /// The slot, for the connection to keep.
    pub(crate) fn slot(&mut self) -> Slot {
        self.slot.take().unwrap_or(Slot(Weak::new()))
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.place.opening.set(self.place.opening.get() - 1);
        drop(self.slot.take());
        self.place.wake();
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(place) = self.0.upgrade() {
            place.open.set(place.open.get() - 1);
            if let Some(pool) = place.pool.upgrade() {
                pool.closed();
            }
            place.wake();
            place.leave();
        }
    }
}
