//! One request's way back: the guest holds the [`Responder`], the host the [`PendingReply`].

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use nexus_core::Limit;

use crate::{Body, HeaderList};

/// What a guest answers.
#[derive(Debug, Default)]
pub struct Reply {
    /// The status code, 200 to 599.
    pub status: u16,
    /// The header fields, already valid by RFC 9110 section 5.5 (no CR, LF or NUL in a value).
    pub headers: HeaderList,
    /// The body.
    pub body: Body,
}

/// Why there is no reply. The host turns it into a short, stable response; the whole story is in
/// the log, written by whoever knew it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What kind of failure.
    pub kind: FailureKind,
    /// The limit that was reached, with its value: the client is told.
    pub limit: Option<(Limit, u64)>,
}

impl Failure {
    /// A failure at a limit of this value (in bytes, milliseconds, or a count).
    pub fn at_limit(kind: FailureKind, limit: Limit, value: u64) -> Self {
        Self { kind, limit: Some((limit, value)) }
    }
}

/// The kinds of [`Failure`], each with its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The handler threw, or its promise was rejected: 500.
    Threw,
    /// The handler returned something that is not a `Response`: 500.
    NotAResponse,
    /// The handler's promise can never settle, for its guest waits for nothing any more: 500.
    Hung,
    /// No file and no handler answers this URL: 404.
    NotFound,
    /// The app exports no handler for this event: 501.
    NoHandler,
    /// The guest was stopped while the request was in flight: 503.
    Stopped,
    /// The response's head did not come within the app's `wall` limit: 504.
    TimedOut,
    /// The app has no guest that could take the request: 503.
    Unavailable,
    /// The host's process has no memory for a guest of the app: 503, and the client may try again later.
    NoMemory,
    /// Too many requests are in flight or wait: 503, and the client may try again later.
    Overloaded,
}

impl FailureKind {
    /// The status that a client sees.
    pub fn status(self) -> u16 {
        match self {
            FailureKind::Threw | FailureKind::NotAResponse | FailureKind::Hung => 500,
            FailureKind::NotFound => 404,
            FailureKind::NoHandler => 501,
            FailureKind::Stopped
            | FailureKind::Unavailable
            | FailureKind::NoMemory
            | FailureKind::Overloaded => 503,
            FailureKind::TimedOut => 504,
        }
    }

    /// The short, stable text that a client sees. Nothing of the guest is in it.
    pub fn message(self) -> &'static str {
        match self {
            FailureKind::Threw => "the app failed to handle this request",
            FailureKind::NotAResponse => "the app did not return a Response",
            FailureKind::Hung => "the app's response would never have come",
            FailureKind::NotFound => "not found",
            FailureKind::NoHandler => "the app does not handle requests",
            FailureKind::Stopped => "the app was stopped while it handled this request",
            FailureKind::TimedOut => "the app did not respond in time",
            FailureKind::Unavailable => "the app is not available",
            FailureKind::NoMemory => "the host has no memory left for the app",
            FailureKind::Overloaded => "the app has too many requests",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.message())?;
        match self.limit {
            Some((limit, value)) => write!(f, " (limit: {} {})", limit.key(), limit.show(value)),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

impl From<FailureKind> for Failure {
    fn from(kind: FailureKind) -> Self {
        Self { kind, limit: None }
    }
}

#[derive(Default)]
struct Exchange {
    reply: RefCell<Option<Result<Reply, Failure>>>,
    waiter: RefCell<Option<Waker>>,
    /// The guest's CPU time for this request so far, in nanoseconds.
    cpu: Cell<u64>,
    answered: Cell<bool>,
}

impl Exchange {
    /// The first answer counts; gives whether this was it.
    fn answer(&self, reply: Result<Reply, Failure>) -> bool {
        if self.answered.replace(true) {
            return false;
        }
        *self.reply.borrow_mut() = Some(reply);
        if let Some(waker) = self.waiter.borrow_mut().take() {
            waker.wake();
        }
        true
    }
}

/// A connected pair for one request.
pub fn exchange() -> (Responder, PendingReply) {
    let exchange = Rc::new(Exchange::default());
    (Responder { exchange: exchange.clone() }, PendingReply { exchange })
}

/// The guest's end. Dropped without a word it fails the request with [`FailureKind::Stopped`].
pub struct Responder {
    exchange: Rc<Exchange>,
}

impl Responder {
    /// Answers the request. The first answer counts; the responder stays alive so that the CPU time
    /// of a streaming body can still be charged.
    pub fn send(&self, reply: Result<Reply, Failure>) {
        self.exchange.answer(reply);
    }

    /// Whether an answer was given.
    pub fn is_sent(&self) -> bool {
        self.exchange.answered.get()
    }

    /// Adds CPU time to the request's account.
    pub fn charge(&self, cpu: Duration) {
        let cell = &self.exchange.cpu;
        cell.set(cell.get().saturating_add(cpu.as_nanos() as u64));
    }

    /// The CPU time charged so far.
    pub fn cpu(&self) -> Duration {
        Duration::from_nanos(self.exchange.cpu.get())
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.send(Err(FailureKind::Stopped.into()));
    }
}

/// Fails a request from the host's side, while another part of the host waits for its reply.
#[derive(Clone)]
pub struct Canceller {
    exchange: Rc<Exchange>,
}

impl Canceller {
    /// Whether there is an answer.
    pub fn is_answered(&self) -> bool {
        self.exchange.answered.get()
    }

    /// The guest's CPU time for the request so far.
    pub fn cpu(&self) -> Duration {
        Duration::from_nanos(self.exchange.cpu.get())
    }

    /// Has whoever waits for the reply look again, whether there is one or not.
    pub fn wake(&self) {
        if let Some(waker) = self.exchange.waiter.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Fails the request unless it has an answer. Gives whether it had none.
    pub fn fail(&self, failure: Failure) -> bool {
        self.exchange.answer(Err(failure))
    }
}

/// The host's end: a future of the reply.
pub struct PendingReply {
    exchange: Rc<Exchange>,
}

impl PendingReply {
    /// The reply, if it is there already: most handlers answer within their first turn.
    pub fn try_take(&mut self) -> Option<Result<Reply, Failure>> {
        self.exchange.reply.borrow_mut().take()
    }

    /// Whether there is an answer, taken or not.
    pub fn is_answered(&self) -> bool {
        self.exchange.answered.get()
    }

    /// A handle to fail the request with.
    pub fn canceller(&self) -> Canceller {
        Canceller { exchange: self.exchange.clone() }
    }

    /// The guest's CPU time for this request so far.
    pub fn cpu(&self) -> Duration {
        Duration::from_nanos(self.exchange.cpu.get())
    }
}

impl Future for PendingReply {
    type Output = Result<Reply, Failure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(reply) = self.try_take() {
            return Poll::Ready(reply);
        }
        *self.exchange.waiter.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_responder_dropped_without_an_answer_fails_the_request() {
        let (responder, mut pending) = exchange();
        drop(responder);
        assert_eq!(pending.try_take().unwrap().unwrap_err().kind, FailureKind::Stopped);
    }

    #[test]
    fn a_canceller_fails_what_has_no_answer_and_only_that() {
        let (responder, mut pending) = exchange();
        let canceller = pending.canceller();
        assert!(canceller.fail(FailureKind::TimedOut.into()));
        assert!(responder.is_sent());
        assert_eq!(pending.try_take().unwrap().unwrap_err().kind, FailureKind::TimedOut);
        assert!(!canceller.fail(FailureKind::Stopped.into()));
    }

    #[test]
    fn the_first_answer_counts() {
        let (responder, mut pending) = exchange();
        responder.send(Ok(Reply { status: 204, ..Reply::default() }));
        responder.send(Err(FailureKind::Threw.into()));
        drop(responder);
        assert_eq!(pending.try_take().unwrap().unwrap().status, 204);
        assert!(pending.try_take().is_none());
    }
}
