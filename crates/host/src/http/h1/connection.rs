//! One connection: its requests one after the other, each read, handed over, answered.
//!
//! A single task does all of a connection's reading and writing, so nothing has to be shared or
//! locked, and a request that is answered at once costs one read, one write and no wake-up.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use nexus_guest::{ClientAddress, Request, RequestId};
use tokio::time::Instant;

use super::super::conn_io::Socket;
use super::super::listener::Server;
use super::super::moving::{Inbox, Moving, Past};
use super::super::open::State;
use super::super::shutdown::Listening;
use super::super::target;
use super::super::timer::{Timer, within};
use super::super::{BodyLimit, Call, Refusal, Refused, RequestLine, forwarded};
use super::answer::{After, AtOnce};
use super::head::{self, Head, HeadLimits};
use super::input::Input;
use super::outbox::Outbox;
use super::reply::{self, Asked};
use super::upload::{self, Upload};

/// What every HTTP/2 connection starts with (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How many empty lines are read over before a request (RFC 9112 section 2.2).
const MAX_EMPTY_LINES: u8 = 8;

/// How a connection ended for HTTP/1.
pub(in crate::http) enum End {
    /// For good.
    Closed,
    /// It goes on in another thread.
    Moves(Inbox, Moving),
    /// The client speaks HTTP/2: here is the socket and what was read from it.
    Http2(Socket, Vec<u8>),
}

/// A buffer that all connections of a thread read into, each only while it is being polled: idle
/// connections hold no memory for what may come.
pub(in crate::http) type Scratch = Rc<RefCell<Box<[u8]>>>;

/// A connection's state. Its parts are in this folder's other files.
pub(super) struct Connection {
    /// The request that is being answered, until it turns out to take longer. It lies here, and not in a future, so that
    /// it is not carried from one place to the next: where there are many connections, none of them is in the
    /// processor's caches when its turn comes.
    pub(super) current: Option<Exchange>,
    pub(super) socket: Socket,
    pub(super) server: Rc<Server>,
    pub(super) peer: ClientAddress,
    /// Whether the peer is a proxy whose forwarded fields are believed.
    peer_is_trusted: bool,
    pub(super) scratch: Scratch,
    pub(super) input: Input,
    pub(super) outbox: Outbox,
    pub(super) timer: Timer,
    pub(super) listening: Listening,
    /// When the client must have read something; `None` while it does.
    pub(super) write_deadline: Option<Instant>,
    /// When the client must have sent something of a body; `None` unless we wait for it.
    pub(super) body_deadline: Option<Instant>,
    /// When the guest must have given something of its response's body; `None` unless we wait for it.
    pub(super) reply_deadline: Option<Instant>,
    /// When the last response was out, or the connection was opened, as long as nothing else has happened.
    pub(super) idle_since: Option<Instant>,
    /// The limits of the last request's bodies.
    pub(super) body_limit: BodyLimit,
    /// How much of a partial head was parsed in vain.
    tried: usize,
    empty_lines: u8,
    is_first: bool,
}

/// A request in the hands of its service.
pub(super) struct Exchange {
    pub(super) call: Call,
    pub(super) upload: Option<Upload>,
    pub(super) asked: Asked,
    pub(super) expects_continue: bool,
}

/// Who asked what, of a request that is refused.
struct Asker {
    id: Option<RequestId>,
    client: ClientAddress,
    line: RequestLine,
}

/// What the input holds.
enum Next {
    /// A request, which is the current one now.
    Request,
    Refused(Refusal, Asker),
    Http2,
    Incomplete,
}

/// What reading brought.
enum Filled {
    Some,
    /// The end, an error, or the signal to stop.
    Closed,
    /// Nothing, but the signal to move.
    ToMove,
    TimedOut,
}

/// Serves HTTP/1 on `socket` until it is closed, is to go on in another thread, or turns out to speak HTTP/2.
pub(in crate::http) fn run(
    socket: Socket,
    past: Past,
    peer: ClientAddress,
    server: Rc<Server>,
    scratch: Scratch,
) -> impl Future<Output = End> {
    let mut connection = Connection {
        current: None,
        socket,
        peer,
        peer_is_trusted: server.config.trust.includes(peer),
        scratch,
        input: Input::default(),
        outbox: Outbox::default(),
        timer: Timer::default(),
        listening: Listening::new(&server.shutdown),
        write_deadline: None,
        body_deadline: None,
        reply_deadline: None,
        idle_since: Some(past.idle_since.into()),
        body_limit: server.config.body_limit(),
        tried: 0,
        empty_lines: 0,
        is_first: past.is_new,
        server,
    };
    connection.input.append(&past.read);
    let mut head_deadline = past.head_deadline.map(Instant::from);
    // What an async function takes and then moves has two places in its future.
    async move {
        loop {
            // What was read, and parsed no further, goes along.
            if connection.server.shutdown.has_begun()
                && let Some(inbox) = connection.server.shutdown.next_move()
            {
                return connection.moves(inbox, head_deadline);
            }
            match connection.next() {
                Next::Request => {
                    head_deadline = None;
                    connection.is_first = false;
                    connection.idle_since = None;
                    let goes_on = match poll_fn(|cx| connection.poll_at_once(cx)).await {
                        AtOnce::Over(After::GoesOn) => true,
                        AtOnce::Over(After::Closes) => false,
                        // Away from the rest: idle connections hold no memory for what few of them need.
                        longer => Box::pin(connection.answer(longer)).await,
                    };
                    if !goes_on {
                        return End::Closed;
                    }
                }
                Next::Refused(refusal, asker) => {
                    Box::pin(connection.refuse(refusal, asker, head_deadline)).await;
                    return End::Closed;
                }
                Next::Http2 => {
                    let read = connection.input.take();
                    return End::Http2(connection.socket, read);
                }
                Next::Incomplete => {
                    if let Some(inbox) = connection.server.shutdown.next_move() {
                        return connection.moves(inbox, head_deadline);
                    }
                    connection.socket.is_at(State::Idle);
                    let is_idle = connection.input.is_empty();
                    let config = &connection.server.config;
                    let deadline = if is_idle {
                        let timeout =
                            if connection.is_first { config.first_byte_timeout } else { config.idle_timeout };
                        *connection.idle_since.get_or_insert_with(Instant::now) + timeout
                    } else {
                        *head_deadline.get_or_insert_with(|| within(config.head_timeout))
                    };
                    match connection.fill(deadline, is_idle).await {
                        Filled::Some => {}
                        Filled::TimedOut if !is_idle => {
                            let refusal = Refusal::HeadTimeout(connection.server.config.head_timeout);
                            let asker = connection.stranger();
                            Box::pin(connection.refuse(refusal, asker, head_deadline)).await;
                            return End::Closed;
                        }
                        Filled::ToMove => {}
                        Filled::TimedOut | Filled::Closed => return End::Closed,
                    }
                }
            }
        }
    }
}

impl Connection {
    /// Leaves for another thread. No request is under way, and all that was answered is written.
    fn moves(mut self, inbox: Inbox, head_deadline: Option<Instant>) -> End {
        let past = Past {
            read: self.input.take(),
            is_new: self.is_first,
            idle_since: self.idle_since.unwrap_or_else(Instant::now).into_std(),
            head_deadline: head_deadline.map(Instant::into_std),
        };
        match self.socket.detach() {
            Ok(stream) => End::Moves(inbox, Moving::new(stream, past)),
            // The system has lost it.
            Err(_) => End::Closed,
        }
    }

    /// Takes the next request from the input and hands it to the service.
    fn next(&mut self) -> Next {
        while self.input.unread().starts_with(b"\r\n") {
            self.input.consume(2);
            self.empty_lines += 1;
            if self.empty_lines > MAX_EMPTY_LINES {
                return self.unread(Refusal::Malformed("there are too many empty lines before the request"));
            }
        }
        let input = self.input.unread();
        match input.first() {
            None => return Next::Incomplete,
            // The parser reads over these: it must not, or lines of them would cost no head.
            Some(b'\r') if input.len() == 1 => return Next::Incomplete,
            Some(b'\r' | b'\n') => {
                return self.unread(Refusal::Malformed("a line does not end in CR LF"));
            }
            Some(b'P') if self.is_first => {
                if input.starts_with(PREFACE) {
                    return Next::Http2;
                }
                if PREFACE.starts_with(input) {
                    return Next::Incomplete;
                }
            }
            Some(_) => {}
        }
        // A head that comes byte by byte must not be parsed as often: only when its end may have come,
        // when it has doubled, and when it has become too long.
        let limits = HeadLimits::from(&self.server.config);
        if self.tried > 0 && input.len() < limits.max_head && input.len() < 2 * self.tried {
            let fresh = &input[self.tried.saturating_sub(3)..];
            if !fresh.windows(3).any(|window| window == b"\n\r\n") {
                return Next::Incomplete;
            }
        }
        match head::parse(input, limits) {
            Ok(None) => {
                self.tried = input.len();
                Next::Incomplete
            }
            Err(refusal) => self.unread(refusal),
            Ok(Some((head, length))) => {
                self.input.consume(length);
                self.tried = 0;
                self.empty_lines = 0;
                self.call(head)
            }
        }
    }

    /// Refuses a request whose head is not there as a whole, or not right.
    fn unread(&self, refusal: Refusal) -> Next {
        Next::Refused(refusal, self.stranger())
    }

    /// What can be told of who asked what if the head was not read.
    fn stranger(&self) -> Asker {
        Asker { id: None, client: self.peer, line: RequestLine::guess(self.input.unread()) }
    }

    fn call(&mut self, head: Head) -> Next {
        let mut url = head.url;
        let mut client = self.peer;
        if self.peer_is_trusted {
            client = forwarded::client(self.peer, &self.server.config.trust, &head.headers);
            if forwarded::scheme(&head.headers) == Some("https") {
                url.insert("http".len(), 's');
            }
        }
        if let Some(limit) = self.server.service.body_limit(&url) {
            self.body_limit = limit;
        }
        let start = upload::start(head.framing, self.input.unread(), self.body_limit.most);
        let upload::Start { body, upload, consumed } = match start {
            Ok(start) => start,
            Err(refusal) => {
                let line = RequestLine { method: head.method, path: target::path_of(&url).to_owned() };
                return Next::Refused(refusal, Asker { id: head.id, client, line });
            }
        };
        self.input.consume(consumed);
        let service = &self.server.service;
        let id = head.id.unwrap_or_else(|| service.next_request_id());
        let is_head = &*head.method == "HEAD";
        self.socket.is_at(State::Waiting(id));
        let request = Request {
            id,
            method: head.method,
            url,
            headers: head.headers,
            body,
            client,
            event: nexus_guest::Event::default(),
        };
        self.current = Some(Exchange {
            call: service.clone().call(request),
            expects_continue: head.expects_continue && upload.is_some(),
            upload,
            asked: Asked { id, is_head, is_old: head.is_old, keep_alive: head.keep_alive },
        });
        Next::Request
    }

    /// Reads once. While idle, the signal to stop ends the wait. What comes after the signal to move is another thread's.
    async fn fill(&mut self, deadline: Instant, is_idle: bool) -> Filled {
        poll_fn(|cx| {
            let is_told = self.listening.poll(cx).is_ready();
            if is_told && !self.server.shutdown.closes() {
                return Poll::Ready(Filled::ToMove);
            }
            let idle_until = self.server.shutdown.idle_until();
            if is_told && is_idle && idle_until.is_none() {
                return Poll::Ready(Filled::Closed);
            }
            if let Poll::Ready(read) = self.poll_fill(cx) {
                return Poll::Ready(if matches!(read, Ok(1..)) { Filled::Some } else { Filled::Closed });
            }
            if is_told && is_idle {
                let deadline = idle_until.map_or(deadline, |until| deadline.min(until));
                return self.timer.poll(Some(deadline), cx).map(|()| Filled::Closed);
            }
            self.timer.poll(Some(deadline), cx).map(|()| Filled::TimedOut)
        })
        .await
    }

    /// Reads once, to the input.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut scratch = self.scratch.borrow_mut();
        let count = ready!(self.socket.poll_read(cx, &mut scratch))?;
        self.input.append(&scratch[..count]);
        Poll::Ready(Ok(count))
    }

    /// Writes until all is written. Minds the write deadline, but leaves it to the caller to wait for it.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outbox.is_empty() {
            match self.outbox.with_slices(|slices| self.socket.poll_write(cx, slices)) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => {
                    self.outbox.advance(count);
                    self.write_deadline = None;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    let timeout = self.server.config.write_timeout;
                    self.write_deadline.get_or_insert_with(|| within(timeout));
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Answers a request that no guest has seen, and ends the connection.
    async fn refuse(&mut self, refusal: Refusal, asker: Asker, head_deadline: Option<Instant>) {
        let Asker { id, client, line } = asker;
        let id = id.unwrap_or_else(|| self.server.service.next_request_id());
        // Where the head came at once, it took no time.
        let config = &self.server.config;
        let duration = head_deadline.map_or(Duration::ZERO, |deadline| {
            let left = deadline.saturating_duration_since(Instant::now());
            config.head_timeout.saturating_sub(left)
        });
        let (bytes, complete) = self.write_refusal(refusal, id).await;
        self.server.service.refused(Refused { refusal, id, client, line, duration, bytes, complete });
        if complete {
            self.linger().await;
        }
    }

    /// Writes a refusal's response. Gives the length of its body, and whether it went out as a whole.
    pub(super) async fn write_refusal(&mut self, refusal: Refusal, id: RequestId) -> (u64, bool) {
        self.socket.is_at(State::Answering);
        let bytes = reply::last_words(refusal.status(), &refusal, id, self.outbox.flat());
        let is_flushed = poll_fn(|cx| match self.poll_flush(cx) {
            Poll::Pending => self.timer.poll(self.write_deadline, cx).map(|()| false),
            Poll::Ready(result) => Poll::Ready(result.is_ok()),
        })
        .await;
        (bytes as u64, is_flushed)
    }

    /// Ends the writing direction and reads on for a while: a socket that is closed with unread bytes in it
    /// is reset, and the reset can overtake the response on its way to the client.
    pub(super) async fn linger(&mut self) {
        let deadline = within(self.server.config.linger_timeout);
        poll_fn(|cx| {
            if self.socket.poll_shutdown(cx).is_pending() {
                return self.timer.poll(Some(deadline), cx);
            }
            let mut scratch = self.scratch.borrow_mut();
            while let Poll::Ready(read) = self.socket.poll_read(cx, &mut scratch) {
                if !matches!(read, Ok(1..)) {
                    return Poll::Ready(());
                }
            }
            self.timer.poll(Some(deadline), cx)
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The size of what an async function gives.
    fn size<A, B, C, D, E, F: Future>(_: fn(A, B, C, D, E) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_connection_is_small() {
        assert!(size(run) <= 1024, "{} bytes", size(run));
    }
}
