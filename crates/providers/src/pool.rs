//! All connections of one client: how many there are, which are closed when they are idle, and who waits for one.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::time::Duration;

use nexus_core::NetHost;
use tokio::time::{Instant, sleep_until};

use crate::evict;
use crate::place::Place;
use crate::tasks::Task;

/// How long a connection is kept without a request.
const IDLE: Duration = Duration::from_secs(90);

/// The most idle connections of a client that are kept for so long.
const MOST_IDLE: usize = 32;

/// How long more of them are kept: an app that sends many requests at once wants them again soon.
const SURPLUS: Duration = Duration::from_secs(1);

/// The most connections of a client, to whichever hosts, those included that are idle or being opened: each takes one
/// of the process's descriptors, which all apps share.
const MOST: usize = 128;

/// How long a request waits before it is looked whether anybody reads the responses that it waits for, and how long
/// nobody must have read them.
pub(crate) const PATIENCE: Duration = Duration::from_millis(100);

/// What connections must have in common to be used for the same requests.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) secure: bool,
    pub(crate) host: NetHost,
    pub(crate) port: u16,
}

/// All connections of a client.
pub(crate) struct Pool {
    places: RefCell<HashMap<Key, Rc<Place>>>,
    /// The most connections to one host and port.
    limit: usize,
    /// How many there are to all of them.
    open: Cell<usize>,
    tickets: Cell<u64>,
    /// The requests that are the first at their place, and wait since there are too many connections in all.
    waiting: RefCell<BTreeMap<u64, Rc<Place>>>,
    /// Is told of responses that were cancelled.
    warn: Box<dyn Fn(&evict::Evicted)>,
    sweeper: RefCell<Option<Task>>,
    /// Whether the sweeper looks as often as a surplus asks for.
    hurries: Cell<bool>,
}

impl Pool {
    pub(crate) fn new(limit: usize, warn: Box<dyn Fn(&evict::Evicted)>) -> Self {
        Self {
            places: RefCell::default(),
            limit: limit.max(1),
            open: Cell::new(0),
            tickets: Cell::new(0),
            waiting: RefCell::default(),
            warn,
            sweeper: RefCell::new(None),
            hurries: Cell::new(false),
        }
    }

    pub(crate) fn place(self: &Rc<Self>, key: &Key) -> Rc<Place> {
        if let Some(place) = self.places.borrow().get(key) {
            return place.clone();
        }
        let place = Rc::new(Place::new(self, key.clone(), self.limit));
        self.places.borrow_mut().insert(key.clone(), place.clone());
        place
    }

    /// A place has nothing left.
    pub(crate) fn forget(&self, key: &Key) {
        let place = self.places.borrow_mut().remove(key);
        drop(place);
    }

    fn all(&self) -> Vec<Rc<Place>> {
        self.places.borrow().values().cloned().collect()
    }

    /// A number that says which of two requests came first.
    pub(crate) fn ticket(&self) -> u64 {
        let ticket = self.tickets.get();
        self.tickets.set(ticket + 1);
        ticket
    }

    /// A connection is being opened.
    pub(crate) fn opened(&self) {
        self.open.set(self.open.get() + 1);
    }

    /// A connection is closed.
    pub(crate) fn closed(&self) {
        self.open.set(self.open.get() - 1);
        self.wake();
    }

    /// Whether this request may open a connection. Closes the one that is idle for longest, if that takes it.
    pub(crate) fn may_open(&self, ticket: u64) -> bool {
        !self.is_before(ticket) && (self.open.get() < MOST || self.close_oldest())
    }

    /// Whether an idle connection is not for this request, but to be closed in favour of one that waits for longer.
    pub(crate) fn is_owed(&self, ticket: u64) -> bool {
        self.open.get() >= MOST && self.is_before(ticket)
    }

    /// Whether somebody waits who came before this request.
    fn is_before(&self, ticket: u64) -> bool {
        self.waiting.borrow().first_key_value().is_some_and(|(first, _)| *first < ticket)
    }

    /// Has a request wait for any connection to be closed.
    pub(crate) fn enlist(&self, ticket: u64, place: &Rc<Place>) {
        self.waiting.borrow_mut().insert(ticket, place.clone());
    }

    /// A request waits no longer.
    pub(crate) fn strike(&self, ticket: u64) {
        let place = self.waiting.borrow_mut().remove(&ticket);
        drop(place);
        self.wake();
    }

    /// Whether nobody else waits for longer.
    pub(crate) fn is_first(&self, ticket: u64) -> bool {
        self.waiting.borrow().first_key_value().is_some_and(|(first, _)| *first == ticket)
    }

    /// Wakes the first that waits: a connection was closed, or could be.
    pub(crate) fn wake(&self) {
        // It is the first at its place as well.
        let first = self.waiting.borrow().first_key_value().map(|(_, place)| place.clone());
        if let Some(place) = first {
            place.wake();
        }
    }

    /// Cancels the responses that nobody reads on one connection, if nothing else would make one free.
    pub(crate) fn evict(&self) {
        let places = self.all();
        for evicted in evict::from_all(places.iter().map(|place| &place.responses), self.open.get()) {
            (self.warn)(&evicted);
        }
    }

    /// Tells of a response that was cancelled.
    pub(crate) fn warn(&self, evicted: &evict::Evicted) {
        (self.warn)(evicted);
    }

    /// Closes the connection that is idle for longest, if there is one.
    fn close_oldest(&self) -> bool {
        let before = self.open.get();
        if let (_, Some((place, is_h2, _))) = self.idle() {
            place.close_one(is_h2);
        }
        self.open.get() < before
    }

    /// How many connections are idle, and which is it for longest: of this place, whether it is an HTTP/2 one, since when.
    fn idle(&self) -> (usize, Option<(Rc<Place>, bool, Instant)>) {
        let mut count = 0;
        let mut oldest: Option<(Rc<Place>, bool, Instant)> = None;
        for place in self.all() {
            let (h1, since, h2) = place.idle();
            count += h1 + usize::from(h2.is_some());
            for (since, is_h2) in since.map(|at| (at, false)).into_iter().chain(h2.map(|at| (at, true))) {
                if oldest.as_ref().is_none_or(|(.., other)| since < *other) {
                    oldest = Some((place.clone(), is_h2, since));
                }
            }
        }
        (count, oldest)
    }

    /// Sees to it that connections are closed that are idle for too long, or too many. Within the worker's `LocalSet`.
    pub(crate) fn sweep(self: &Rc<Self>) {
        let hurries = self.may_have_surplus();
        let mut sweeper = self.sweeper.borrow_mut();
        let runs = sweeper.as_ref().is_some_and(|task| !task.is_finished());
        if runs && (self.hurries.get() || !hurries) {
            return;
        }
        self.hurries.set(hurries);
        let pool = Rc::downgrade(self);
        *sweeper = Some(Task::spawn(async move {
            let mut next = Instant::now() + if hurries { SURPLUS } else { IDLE };
            loop {
                sleep_until(next).await;
                let Some(pool) = pool.upgrade() else { return };
                match pool.close_old() {
                    Some(later) => next = later,
                    None => return,
                }
            }
        }));
    }

    /// Whether more connections may be idle than are kept. Counting them takes time, which every exchange would pay.
    fn may_have_surplus(&self) -> bool {
        self.open.get() > MOST_IDLE
    }

    /// Closes connections that are idle for too long, or too many. Says when to look again, if at all.
    fn close_old(&self) -> Option<Instant> {
        let now = Instant::now();
        let kept = self.all().iter().filter_map(|place| place.close_idle(now.checked_sub(IDLE))).min();
        while let (count, Some((place, is_h2, since))) = self.idle()
            && count > MOST_IDLE
            && now.duration_since(since) >= SURPLUS
        {
            place.close_one(is_h2);
        }
        self.hurries.set(self.may_have_surplus());
        if self.hurries.get() { Some(now + SURPLUS) } else { kept.map(|since| since + IDLE) }
    }
}

/// Responses that are still read hold their places, but nothing else of the pool.
impl Drop for Pool {
    fn drop(&mut self) {
        for place in self.all() {
            place.close_all();
        }
    }
}
