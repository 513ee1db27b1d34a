//! The open connections of a worker's thread, where they can be reached from within a guest's turn.
//!
//! An engine may find, deep within a turn, that it can never return from it: it parks the thread for good. All that the
//! event loop has is then borrowed or half done, and nothing of it may be touched; but clients must not wait for ever.
//! So each connection is noted here, outside of the event loop, with its descriptor and how far its request is. What is
//! noted changes by a store, and the table itself is borrowed only where no guest can run.

use std::cell::{Cell, RefCell};
use std::io::Read;
use std::net::Shutdown;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nexus_guest::{Failure, RequestId};
use slab::Slab;

use super::Service;
use super::h1::last_words;
use crate::descriptors::{Descriptors, Sharer};

/// How long an abandoned connection is kept after its last words: one that is closed with unread bytes in it is reset,
/// and the reset can overtake what was written.
const LINGER: Duration = Duration::from_secs(2);

/// How HTTP/2 starts: who sent this cannot read HTTP/1.
const HTTP2: &[u8] = b"PRI * HTTP/2";

thread_local! {
    static OPEN: RefCell<Open> = const { RefCell::new(Open { listening: None, connections: Slab::new() }) };
}

struct Open {
    /// Set while connections are accepted.
    listening: Option<(Rc<dyn Service>, Sharer)>,
    connections: Slab<Rc<Noted>>,
}

struct Noted {
    descriptor: RawFd,
    state: Cell<State>,
    counted: Cell<Option<Counted>>,
}

/// How far a connection is, for whoever must end it.
#[derive(Debug, Clone, Copy)]
pub(super) enum State {
    /// No request is under way, as far as has been read.
    Idle,
    /// This request waits for its response's head.
    Waiting(RequestId),
    /// A response has begun.
    Answering,
    /// HTTP/2 is spoken.
    Http2,
}

/// Counts a connection while it is open: for its server, and for the process.
pub(super) struct Counted {
    server: Arc<AtomicUsize>,
    process: &'static Descriptors,
}

impl Counted {
    pub(super) fn new(server: &Arc<AtomicUsize>, process: &'static Descriptors) -> Self {
        // Relaxed: a gauge, which orders nothing.
        server.fetch_add(1, Ordering::Relaxed);
        process.opened();
        Self { server: server.clone(), process }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        // Relaxed: as above.
        self.server.fetch_sub(1, Ordering::Relaxed);
        self.process.closed();
    }
}

/// A connection's place in its thread's table, for as long as its descriptor is open.
pub(super) struct Place {
    noted: Rc<Noted>,
    key: Option<usize>,
}

impl Place {
    /// Notes a connection on this thread. Its owner drops the place before it closes the descriptor.
    pub(super) fn new(descriptor: RawFd, counted: Counted) -> Self {
        let counted = Cell::new(Some(counted));
        let noted = Rc::new(Noted { descriptor, state: Cell::new(State::Idle), counted });
        let note = || {
            OPEN.try_with(|open| {
                open.try_borrow_mut().ok().map(|mut open| open.connections.insert(noted.clone()))
            })
        };
        // Always there but while the thread ends, when no guest runs any more.
        let key = note().ok().flatten();
        Self { noted, key }
    }

    /// How far the connection is from now on.
    #[inline]
    pub(super) fn set(&self, state: State) {
        self.noted.state.set(state);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(key) = self.key else { return };
        let _ = OPEN.try_with(|open| open.try_borrow_mut().ok()?.connections.try_remove(key));
    }
}

/// Says that this thread accepts connections for `service`, until it is dropped.
pub(super) struct Listening(());

impl Listening {
    pub(super) fn new(service: Rc<dyn Service>, sharer: Sharer) -> Self {
        let _ = OPEN.try_with(|open| open.try_borrow_mut().ok()?.listening.replace((service, sharer)));
        Self(())
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _before = OPEN.try_with(|open| open.try_borrow_mut().ok()?.listening.take());
    }
}

/// Ends all connections of this thread, which is about to be parked for good: requests that wait for a response's head
/// get `failure`, the others are closed. Touches nothing that the event loop may have borrowed.
///
/// Nothing on this thread may use a connection after this; whoever calls it sees to that by never returning to the event
/// loop.
pub(crate) fn abandon_connections(failure: &Failure) {
    let taken = OPEN.try_with(|open| {
        let mut open = open.try_borrow_mut().ok()?;
        Some((open.listening.take(), std::mem::take(&mut open.connections)))
    });
    let Ok(Some((listening, connections))) = taken else { return };
    let service = listening.map(|(service, _)| service);
    let mut answered = Vec::new();
    let mut closing = Vec::with_capacity(connections.len());
    let mut words = Vec::new();
    for (_, noted) in connections {
        // SAFETY: it is open, for a connection is noted only as long as its socket lives. That one is another owner; but
        // it belongs to this thread's event loop, which never runs again, so it neither uses nor closes it.
        #[allow(unsafe_code)]
        let socket = socket2::Socket::from(unsafe { OwnedFd::from_raw_fd(noted.descriptor) });
        let id = match noted.state.get() {
            State::Waiting(id) => {
                answered.push(id);
                Some(id)
            }
            // Its request may have come since the event loop looked.
            State::Idle if sends_http1(&socket) => service.as_ref().map(|service| service.next_request_id()),
            State::Idle | State::Answering | State::Http2 => None,
        };
        if let Some(id) = id {
            words.clear();
            last_words(failure.kind.status(), failure, id, &mut words);
            // The socket does not block: if there is no room for so little, the client does not read anyway.
            let _ = socket.send(&words);
        }
        let _ = socket.shutdown(Shutdown::Both);
        closing.push((socket, noted.counted.take()));
    }
    if let Some(service) = service {
        service.abandoned(&answered, failure);
    }
    if !closing.is_empty() {
        // Without a thread to wait on, they are closed at once.
        let _ = std::thread::Builder::new().name("nexus-linger".into()).spawn(move || {
            std::thread::sleep(LINGER);
            drop(closing);
        });
    }
}

/// Whether there are bytes to read that are none of HTTP/2. Nobody reads them afterwards.
fn sends_http1(mut socket: &socket2::Socket) -> bool {
    let mut start = [0; HTTP2.len()];
    matches!(socket.read(&mut start), Ok(count @ 1..) if !HTTP2.starts_with(&start[..count]))
}
