//! The open connections of a worker's thread, where they can be reached without its event loop.
//!
//! A guest's turn may never end: the engine finds, deep within it, that it cannot return and parks the thread, or the
//! watchdog gives it up from outside. All that the event loop has is then borrowed or half done, and nothing of it may be
//! touched; but clients must not wait for ever. So each connection is noted here, outside of the event loop, with its
//! descriptor and how far its request is. What is noted changes by a few stores; the table itself is locked where a
//! connection comes or goes, which is never within a turn.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::Read;
use std::net::Shutdown;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nexus_guest::{Failure, RequestId};
use slab::Slab;

use super::h1::last_words;
use super::shared_id::SharedId;
use crate::descriptors::{Descriptors, Sharer};

/// How long an abandoned connection is kept after its last words: one that is closed with unread bytes in it is reset,
/// and the reset can overtake what was written.
const LINGER: Duration = Duration::from_secs(2);

/// How HTTP/2 starts: who sent this cannot read HTTP/1.
const HTTP2: &[u8] = b"PRI * HTTP/2";

/// The open connections of a thread.
#[derive(Default)]
pub(crate) struct OpenConnections {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    /// Set while connections are accepted.
    listening: Option<Sharer>,
    connections: Slab<(Arc<Noted>, Counted)>,
}

/// A connection in the table. Its thread alone writes it, and outside of turns; who has given the thread's turn up, or
/// was told that it is lost, sees the last that was written. So relaxed is enough for all of it.
struct Noted {
    descriptor: RawFd,
    state: AtomicU8,
    /// Of the request that waits.
    id: SharedId,
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

const IDLE: u8 = 0;
const WAITING: u8 = 1;
const ANSWERING: u8 = 2;
const HTTP2_SPOKEN: u8 = 3;

impl Noted {
    #[inline]
    fn set(&self, state: State) {
        let state = match state {
            State::Idle => IDLE,
            State::Waiting(id) => {
                self.id.set(&id);
                WAITING
            }
            State::Answering => ANSWERING,
            State::Http2 => HTTP2_SPOKEN,
        };
        self.state.store(state, Ordering::Relaxed);
    }

    fn get(&self) -> State {
        match self.state.load(Ordering::Relaxed) {
            WAITING => self.id.get().map_or(State::Answering, State::Waiting),
            ANSWERING => State::Answering,
            HTTP2_SPOKEN => State::Http2,
            _ => State::Idle,
        }
    }
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
    noted: Arc<Noted>,
    open: Arc<OpenConnections>,
    key: usize,
}

impl Place {
    /// Notes a connection. Its owner drops the place before it closes the descriptor.
    pub(super) fn new(open: &Arc<OpenConnections>, descriptor: RawFd, counted: Counted) -> Self {
        let noted = Arc::new(Noted { descriptor, state: AtomicU8::new(IDLE), id: SharedId::default() });
        let key = open.table().connections.insert((noted.clone(), counted));
        Self { noted, open: open.clone(), key }
    }

    /// How far the connection is from now on.
    #[inline]
    pub(super) fn set(&self, state: State) {
        self.noted.set(state);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _noted = self.open.table().connections.try_remove(self.key);
    }
}

/// Says that connections are accepted, until it is dropped.
pub(super) struct Listening(Arc<OpenConnections>);

impl Listening {
    pub(super) fn new(open: &Arc<OpenConnections>, sharer: Sharer) -> Self {
        open.table().listening = Some(sharer);
        Self(open.clone())
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _before = self.0.table().listening.take();
    }
}

/// Connections that were shut down, with their last words on the way. They are closed when this is dropped.
#[derive(Default)]
pub(crate) struct Abandoned {
    /// The requests that were answered, without those that nobody had read.
    pub(crate) answered: Vec<RequestId>,
    closing: Vec<(socket2::Socket, Counted)>,
}

impl Abandoned {
    /// Closes them when all could have read their last words.
    pub(crate) fn linger(self) {
        if !self.closing.is_empty() {
            std::thread::sleep(LINGER);
        }
    }
}

impl OpenConnections {
    fn table(&self) -> MutexGuard<'_, Table> {
        // Each change leaves it whole.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends all connections of the thread, whose turn never returns to the event loop: requests that wait for a
    /// response's head get `failure`, the others are closed. Touches nothing that the event loop may have borrowed.
    ///
    /// The caller has the worker: its thread runs in a turn that it was told of by the engine, or has given up. So nothing
    /// on that thread uses a connection after this.
    pub(crate) fn abandon(&self, failure: &Failure) -> Abandoned {
        let Table { listening, connections } = std::mem::take(&mut *self.table());
        drop(listening);
        let mut abandoned = Abandoned::default();
        let mut words = Vec::new();
        for (_, (noted, counted)) in connections {
            // SAFETY: it is open, for a connection is noted only as long as its socket lives. That one is another
            // owner; but it belongs to the lost thread's event loop, which never runs again, so it neither uses nor
            // closes it.
            #[allow(unsafe_code)]
            let socket = socket2::Socket::from(unsafe { OwnedFd::from_raw_fd(noted.descriptor) });
            let id = match noted.get() {
                State::Waiting(id) => {
                    abandoned.answered.push(id);
                    Some(id)
                }
                // Its request may have come since the event loop looked.
                State::Idle if sends_http1(&socket) => Some(random_id()),
                State::Idle | State::Answering | State::Http2 => None,
            };
            if let Some(id) = id {
                words.clear();
                last_words(failure.kind.status(), failure, id, &mut words);
                // The socket does not block: if there is no room for so little, the client does not read anyway.
                let _ = socket.send(&words);
            }
            let _ = socket.shutdown(Shutdown::Both);
            abandoned.closing.push((socket, counted));
        }
        abandoned
    }
}

/// An id for a request that nobody has read. The service that gives ids to others is the lost thread's.
fn random_id() -> RequestId {
    let half = || u128::from(RandomState::new().build_hasher().finish());
    RequestId::from_u128(half() << 64 | half())
}

/// Whether there are bytes to read that are none of HTTP/2. Nobody reads them afterwards.
fn sends_http1(mut socket: &socket2::Socket) -> bool {
    let mut start = [0; HTTP2.len()];
    matches!(socket.read(&mut start), Ok(count @ 1..) if !HTTP2.starts_with(&start[..count]))
}
