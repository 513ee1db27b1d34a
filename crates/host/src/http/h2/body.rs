//! A stream's body as a guest reads it: hyper's, with our limit and our deadline.
//!
//! Reading releases the flow control window, so a guest that does not read holds its client back.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http_body::Body as _;
use hyper::body::Incoming;
use nexus_guest::{BodyError, BodySource};
use tokio::time::Instant;

use super::super::Refusal;
use super::super::timer::{Timer, within};

/// What the stream knows of its request's body: how far it is, and whether it went wrong.
#[derive(Default)]
pub(super) struct Progress {
    received: Cell<u64>,
    refusal: Cell<Option<Refusal>>,
    waiting: RefCell<Option<Waker>>,
}

impl Progress {
    fn set(&self, refusal: Refusal) {
        self.refusal.set(Some(refusal));
        if let Some(waker) = self.waiting.borrow_mut().take() {
            waker.wake();
        }
    }

    /// How many bytes of the body have come.
    pub(super) fn received(&self) -> u64 {
        self.received.get()
    }

    /// Ready once the body went wrong in a way that is the client's fault.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<Refusal> {
        if let Some(refusal) = self.refusal.get() {
            return Poll::Ready(refusal);
        }
        *self.waiting.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// The body of one request.
pub(super) struct RequestBody {
    incoming: Incoming,
    received: u64,
    max_body: u64,
    timeout: Duration,
    timer: Timer,
    deadline: Option<Instant>,
    progress: Rc<Progress>,
    is_over: bool,
}

impl RequestBody {
    pub(super) fn new(incoming: Incoming, max_body: u64, timeout: Duration, progress: Rc<Progress>) -> Self {
        Self {
            incoming,
            received: 0,
            max_body,
            timeout,
            timer: Timer::default(),
            deadline: None,
            progress,
            is_over: false,
        }
    }

    fn fail(&mut self, error: BodyError) -> Poll<Option<Result<Bytes, BodyError>>> {
        self.is_over = true;
        Poll::Ready(Some(Err(error)))
    }
}

impl BodySource for RequestBody {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        while !self.is_over {
            match Pin::new(&mut self.incoming).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    self.deadline = None;
                    // Trailers are not passed on.
                    let Ok(data) = frame.into_data() else { continue };
                    self.received += data.len() as u64;
                    self.progress.received.set(self.received);
                    if self.received > self.max_body {
                        let limit = self.max_body;
                        self.progress.set(Refusal::BodyTooLarge(limit));
                        return self.fail(BodyError::TooLarge { limit });
                    }
                    if !data.is_empty() {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
                Poll::Ready(Some(Err(_))) => return self.fail(BodyError::Disconnected),
                Poll::Ready(None) => self.is_over = true,
                Poll::Pending => {
                    let deadline = *self.deadline.get_or_insert_with(|| within(self.timeout));
                    if self.timer.poll(Some(deadline), cx).is_pending() {
                        return Poll::Pending;
                    }
                    self.progress.set(Refusal::BodyTimeout(self.timeout));
                    return self.fail(BodyError::TimedOut);
                }
            }
        }
        Poll::Ready(None)
    }

    fn exact_length(&self) -> Option<u64> {
        self.incoming.size_hint().exact()
    }
}

/// Waits for `reply`, or for the body's fault.
pub(super) async fn unless_faulty<T>(
    progress: &Progress,
    mut reply: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> Result<T, Refusal> {
    poll_fn(|cx| match reply(cx) {
        Poll::Ready(reply) => Poll::Ready(Ok(reply)),
        Poll::Pending => progress.poll(cx).map(Err),
    })
    .await
}
