//! Connections on their way from one worker to another.
//!
//! A worker that is replaced, or goes for want of requests, leaves its connections to others: each moves where it has
//! come to the end of a request, or waits for one, with what was read of the next. Its client sees nothing of that.
//!
//! ```text
//! h1 connection, no request under way ── into_parts ─► Moving ── Inbox::put ─► another thread's listening loop, or
//!                                                                             the host, which waits with it (crew)
//! ```
//!
//! HTTP/2 has a way of its own to say that a connection ends, GOAWAY, after which clients open another one.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::mem::{self, MaybeUninit};
use std::net;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net as unix;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use crate::descriptors::Descriptors;

/// A connection that belongs to no thread.
#[derive(Debug)]
pub(crate) struct Moving {
    pub(super) stream: Detached,
    pub(super) past: Past,
    _descriptor: Descriptor,
}

/// A descriptor that no listening loop counts.
#[derive(Debug)]
struct Descriptor;

impl Descriptor {
    fn new() -> Self {
        Descriptors::of_process().opened();
        Self
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        Descriptors::of_process().closed();
    }
}

/// How far a connection has come.
#[derive(Debug)]
pub(super) struct Past {
    /// What was read of it and belongs to no request yet.
    pub(super) read: Vec<u8>,
    /// Whether no request has come so far.
    pub(super) is_new: bool,
    /// When its last response was out, or it was opened.
    pub(super) idle_since: Instant,
    /// When the head must be whole that has begun to come.
    pub(super) head_deadline: Option<Instant>,
}

impl Past {
    /// A connection's that was opened just now.
    pub(super) fn none() -> Self {
        Self { read: Vec::new(), is_new: true, idle_since: Instant::now(), head_deadline: None }
    }
}

/// A stream that is registered with no event loop.
#[derive(Debug)]
pub(super) enum Detached {
    Tcp(net::TcpStream),
    Unix(unix::UnixStream),
}

impl AsFd for Moving {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.stream {
            Detached::Tcp(stream) => stream.as_fd(),
            Detached::Unix(stream) => stream.as_fd(),
        }
    }
}

impl Moving {
    pub(super) fn new(stream: Detached, past: Past) -> Self {
        Self { stream, past, _descriptor: Descriptor::new() }
    }

    /// Whether no request has come so far.
    pub(crate) fn is_new(&self) -> bool {
        self.past.is_new
    }

    /// When its last response was out, or it was opened.
    pub(crate) fn idle_since(&self) -> Instant {
        self.past.idle_since
    }

    /// Whether nothing of the next request has come so far.
    pub(crate) fn is_idle(&self) -> bool {
        self.past.read.is_empty()
    }

    /// Whether its client has closed it, with nothing sent before. It must be readable.
    pub(crate) fn is_closed(&self) -> bool {
        let mut byte = [MaybeUninit::uninit(); 1];
        match socket2::SockRef::from(self).peek(&mut byte) {
            Ok(count) => count == 0,
            Err(error) => !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted),
        }
    }
}

/// Where connections are put for a thread to take. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Inbox(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    arrived: VecDeque<Moving>,
    waker: Option<Waker>,
    end: Option<End>,
}

/// What becomes of connections when nobody takes them any more.
#[derive(Debug)]
enum End {
    /// They go on to there.
    Forward(Inbox),
    /// They are closed.
    Closed,
}

impl Inbox {
    /// An inbox that nobody has put anything into.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a connection there, or to where this inbox leads.
    pub(crate) fn put(&self, moving: Moving) {
        let mut state = self.state();
        let next = match &state.end {
            None => {
                state.arrived.push_back(moving);
                let waker = state.waker.take();
                drop(state);
                if let Some(waker) = waker {
                    waker.wake();
                }
                return;
            }
            // Dropped, and with that closed, when the lock is free again.
            Some(End::Closed) => None,
            Some(End::Forward(next)) => Some(next.clone()),
        };
        drop(state);
        if let Some(next) = next {
            next.put(moving);
        }
    }

    /// Takes the next; waits for it if there is none. `None` once nothing comes here any more.
    pub(crate) async fn take(&self) -> Option<Moving> {
        poll_fn(|cx| self.poll_take(cx)).await
    }

    fn poll_take(&self, cx: &Context<'_>) -> Poll<Option<Moving>> {
        let mut state = self.state();
        match state.arrived.pop_front() {
            Some(moving) => Poll::Ready(Some(moving)),
            None if state.end.is_some() => Poll::Ready(None),
            None => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// What is here, and comes here from now on, goes on to `next`, which must not lead back here. For ever: a second
    /// word counts for nothing.
    pub(crate) fn forward(&self, next: &Inbox) {
        for moving in self.end(End::Forward(next.clone())) {
            next.put(moving);
        }
    }

    /// Closes what is here, and what comes here from now on.
    pub(crate) fn close(&self) {
        drop(self.end(End::Closed));
    }

    fn end(&self, end: End) -> VecDeque<Moving> {
        let mut state = self.state();
        if state.end.is_some() {
            return VecDeque::new();
        }
        state.end = Some(end);
        let left = mem::take(&mut state.arrived);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        left
    }
}

impl Detached {
    /// The stream, registered with the current thread's event loop.
    pub(super) fn attach(self) -> io::Result<super::conn_io::Stream> {
        use super::conn_io::Stream;
        Ok(match self {
            Detached::Tcp(stream) => Stream::Tcp(tokio::net::TcpStream::from_std(stream)?),
            Detached::Unix(stream) => Stream::Unix(tokio::net::UnixStream::from_std(stream)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use futures_util::FutureExt;

    use super::*;

    fn connection() -> (Moving, unix::UnixStream) {
        let (here, there) = unix::UnixStream::pair().unwrap();
        here.set_nonblocking(true).unwrap();
        let stream = Detached::Unix(here);
        (Moving::new(stream, Past::none()), there)
    }

    fn take(inbox: &Inbox) -> Option<Option<Moving>> {
        inbox.take().now_or_never()
    }

    #[test]
    fn what_is_put_is_taken_in_order() {
        let inbox = Inbox::new();
        for text in ["a", "b"] {
            let (mut moving, _) = connection();
            moving.past.read = text.into();
            inbox.put(moving);
        }
        assert_eq!(take(&inbox).unwrap().unwrap().past.read, b"a");
        assert_eq!(take(&inbox).unwrap().unwrap().past.read, b"b");
        assert!(take(&inbox).is_none(), "it waits for the next");
    }

    #[test]
    fn what_is_left_and_what_comes_late_goes_on_to_the_last_inbox() {
        let [first, second, third] = [(); 3].map(|()| Inbox::new());
        first.put(connection().0);
        first.forward(&second);
        first.forward(&third);
        first.put(connection().0);
        assert!(take(&first).unwrap().is_none());
        second.forward(&third);
        for _ in 0..2 {
            assert!(take(&third).unwrap().is_some());
        }
        assert!(take(&third).is_none());
    }

    #[test]
    fn a_closed_inbox_closes_what_comes() {
        let inbox = Inbox::new();
        let (before, first) = connection();
        let (after, second) = connection();
        inbox.put(before);
        inbox.close();
        inbox.put(after);
        for mut client in [first, second] {
            assert!(client.write_all(b"x").is_err());
        }
    }

    #[test]
    fn who_has_gone_is_told_from_who_sends() {
        let (moving, mut client) = connection();
        assert!(!moving.is_closed(), "nothing to read is no end");
        client.write_all(b"G").unwrap();
        assert!(!moving.is_closed());
        drop(client);
        assert!(!moving.is_closed(), "what was sent comes before the end");
        let (moving, client) = connection();
        drop(client);
        assert!(moving.is_closed());
    }
}
