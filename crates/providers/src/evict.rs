//! Which responses hold connections, and which of them are cancelled when nobody reads any.

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use nexus_guest::{BodyError, RequestId};
use tokio::time::Instant;

use crate::body::{Held, State};
use crate::h2::H2;
use crate::pool::PATIENCE;

/// The responses of a place that hold a connection, the oldest first.
#[derive(Default)]
pub(crate) struct Responses(RefCell<Vec<Weak<RefCell<State>>>>);

/// A response that was cancelled.
pub(crate) struct Evicted {
    /// In whose name it was asked for.
    pub(crate) sender: Option<RequestId>,
    /// What was asked for: `GET https://example.com/path`.
    pub(crate) asked: String,
    /// What others waited for.
    pub(crate) wanted: Wanted,
}

/// What requests wait for that has a bound.
#[derive(Clone, Copy)]
pub(crate) enum Wanted {
    /// One of so many connections to their host.
    Connection(usize),
    /// A place on the connection to their host.
    Stream,
    /// One of so many connections, to whichever hosts.
    Any(usize),
}

/// A response, with its connection if others may share it.
type OnConnection = (Rc<RefCell<State>>, Option<Rc<H2>>);

/// Responses that nobody reads.
#[derive(Default)]
struct Unread {
    all: Vec<OnConnection>,
    /// How many have a connection for themselves.
    alone: usize,
    /// The connections of the others, and how many each of them has.
    shared: Vec<(Rc<H2>, usize)>,
}

impl Responses {
    pub(crate) fn add(&self, response: &Rc<RefCell<State>>) {
        let mut all = self.0.borrow_mut();
        all.retain(|other| other.strong_count() > 0);
        all.push(Rc::downgrade(response));
    }

    /// Cancels the oldest, if nothing else would make room for a further request: with `open` connections in all, and
    /// one of them `full` of streams where the peer speaks HTTP/2.
    pub(crate) fn evict(&self, open: usize, full: Option<&Rc<H2>>) -> Option<Evicted> {
        let mut unread = Unread::default();
        unread.add(self, Instant::now());
        let is_stuck = match full {
            Some(full) => unread.stuck().any(|h2| Rc::ptr_eq(h2, full)),
            None => unread.connections() >= open,
        };
        let is_helpful = |h2: &Option<Rc<H2>>| match (full, h2) {
            (Some(full), Some(h2)) => Rc::ptr_eq(full, h2),
            _ => true,
        };
        let (oldest, _) = unread.all.iter().find(|(_, h2)| is_helpful(h2)).filter(|_| is_stuck)?;
        Some(cancel(oldest, if full.is_some() { Wanted::Stream } else { Wanted::Connection(open) }))
    }

    fn alive(&self) -> Vec<Rc<RefCell<State>>> {
        self.0.borrow().iter().filter_map(Weak::upgrade).collect()
    }
}

/// Cancels the oldest of all, if nothing else would close one of the `open` connections; where others share its
/// connection, those as well.
pub(crate) fn from_all<'a>(places: impl Iterator<Item = &'a Responses>, open: usize) -> Vec<Evicted> {
    let (mut unread, now) = (Unread::default(), Instant::now());
    for responses in places {
        unread.add(responses, now);
    }
    if unread.connections() < open {
        return Vec::new();
    }
    let Some((oldest, h2)) = unread.all.iter().min_by_key(|(state, _)| state.borrow().began) else {
        return Vec::new();
    };
    let wanted = Wanted::Any(open);
    match h2 {
        None => vec![cancel(oldest, wanted)],
        Some(h2) => {
            let is_there = |other: &Option<Rc<H2>>| other.as_ref().is_some_and(|other| Rc::ptr_eq(other, h2));
            unread
                .all
                .iter()
                .filter(|(_, other)| is_there(other))
                .map(|(state, _)| cancel(state, wanted))
                .collect()
        }
    }
}

impl Unread {
    fn add(&mut self, responses: &Responses, now: Instant) {
        for response in responses.alive() {
            let mut state = response.borrow_mut();
            if !state.is_unread(now, PATIENCE) {
                continue;
            }
            let connection = match &state.held {
                None => continue,
                Some(Held::H1(_)) => {
                    self.alone += 1;
                    None
                }
                Some(Held::H2(stream)) => {
                    let h2 = stream.connection();
                    match self.shared.iter_mut().find(|(other, _)| Rc::ptr_eq(other, h2)) {
                        Some((_, count)) => *count += 1,
                        None => self.shared.push((h2.clone(), 1)),
                    }
                    Some(h2.clone())
                }
            };
            drop(state);
            self.all.push((response, connection));
        }
    }

    /// Shared connections on which nothing else is under way.
    fn stuck(&self) -> impl Iterator<Item = &Rc<H2>> {
        self.shared.iter().filter(|(h2, count)| *count >= h2.streams()).map(|(h2, _)| h2)
    }

    /// How many connections are held by nothing else.
    fn connections(&self) -> usize {
        self.alone + self.stuck().count()
    }
}

fn cancel(response: &RefCell<State>, wanted: Wanted) -> Evicted {
    let (evicted, waker, held) = {
        let mut state = response.borrow_mut();
        let evicted = Evicted { sender: state.sender, asked: state.asked.to_string(), wanted };
        let held = state.end(Err(BodyError::Evicted));
        (evicted, state.reader.take(), held)
    };
    drop(held);
    if let Some(waker) = waker {
        waker.wake();
    }
    evicted
}
