//! What a connection needs to know of the rest of the host: where requests go, how a reply comes
//! back, and who wants to know how it ended.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use nexus_guest::{Canceller, Failure, PendingReply, Reply, Request, RequestId};

use super::Refused;

/// Where connections hand their requests to.
pub(crate) trait Service: 'static {
    /// Takes a request whose head was read and checked. Must not block.
    fn call(self: Rc<Self>, request: Request) -> Call;

    /// The limits of this URL's request's and response's bodies, where they are not the server's.
    fn body_limit(&self, _url: &str) -> Option<BodyLimit> {
        None
    }

    /// A request was answered by the server itself, without a guest.
    fn refused(&self, refused: Refused);

    /// An id for a request that brings none.
    fn next_request_id(&self) -> RequestId;

    /// The listener could not accept (the process is out of file descriptors, say) and tries again a little
    /// later. Told at most once a back-off.
    fn accept_failed(&self, error: &io::Error);
}

/// The limits of a request's and its response's bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BodyLimit {
    /// The largest body of a request, in bytes: 413 beyond it.
    pub(crate) most: u64,
    /// Without a byte of either that is waited for: the request ends beyond it.
    pub(crate) timeout: Duration,
}

/// Who gets told how a [`Call`] ended.
///
/// One owner stands for many calls, which it tells apart by their keys (an index into its own table of
/// requests in flight, say): a call then costs no allocation of its own.
pub(crate) trait CallOwner {
    /// The call `key` is over. Told exactly once for each call.
    fn ended(&self, key: u64, outcome: Outcome);
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The status that the client got; `None` if it went away before there was one.
    pub status: Option<u16>,
    /// Bytes of the response's body that were handed to the kernel (for HTTP/2, to the connection's buffers).
    pub bytes_sent: u64,
    /// Whether the guest's reply went out as a whole. If not, the guest works for nobody any more: the client
    /// went away, the reply's body broke off, or the server answered by itself (413 in the middle of a body).
    pub complete: bool,
    /// Whether the server broke the response off because the guest gave nothing of its body for too long.
    pub stalled: bool,
    /// The guest's CPU time for this request so far.
    pub cpu: Duration,
    /// When it ended.
    pub at: Instant,
}

/// A request in the hands of its service.
///
/// Dropped without [`Call::finish`], it tells its owner that the client has gone.
pub(crate) struct Call {
    reply: PendingReply,
    owner: Option<Rc<dyn CallOwner>>,
    key: u64,
    in_round: bool,
    is_last: bool,
    stalled: bool,
}

impl Call {
    /// A call that reports its end to `owner` as `key`.
    pub(crate) fn new(reply: PendingReply, owner: Rc<dyn CallOwner>, key: u64) -> Self {
        Self { reply, owner: Some(owner), key, in_round: false, is_last: false, stalled: false }
    }

    /// The request is handed over as soon as the other connections have read theirs. Whoever waits is woken then, be
    /// there an answer or not.
    pub(crate) fn in_round(mut self) -> Self {
        self.in_round = true;
        self
    }

    /// An HTTP/1 connection ends with the answer, which says so.
    pub(crate) fn last(mut self) -> Self {
        self.is_last = true;
        self
    }

    /// Whether the connection ends with the answer.
    pub(super) fn is_last(&self) -> bool {
        self.is_last
    }

    /// Whether there is an answer.
    pub(crate) fn is_answered(&self) -> bool {
        self.reply.is_answered()
    }

    /// A handle to fail the call with.
    pub(crate) fn canceller(&self) -> Canceller {
        self.reply.canceller()
    }

    /// Waits for the request to be handed over, see [`Call::in_round`]. Gives the reply, if there is one then.
    pub(super) fn poll_round(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Reply, Failure>>> {
        if std::mem::take(&mut self.in_round) {
            Pin::new(&mut self.reply).poll(cx).map(Some)
        } else {
            Poll::Ready(self.reply.try_take())
        }
    }

    /// The reply, if it is there already, as it is for most: no waiting, no waker.
    pub(super) fn try_take(&mut self) -> Option<Result<Reply, Failure>> {
        self.reply.try_take()
    }

    /// Waits for the reply.
    pub(super) fn poll_reply(&mut self, cx: &mut Context<'_>) -> Poll<Result<Reply, Failure>> {
        Pin::new(&mut self.reply).poll(cx)
    }

    /// Waits for the reply.
    pub(crate) async fn answer(&mut self) -> Result<Reply, Failure> {
        match poll_fn(|cx| self.poll_round(cx)).await {
            Some(reply) => reply,
            None => poll_fn(|cx| self.poll_reply(cx)).await,
        }
    }

    /// The guest has given nothing of its reply's body for too long: the end is to follow.
    pub(crate) fn has_stalled(&mut self) {
        self.stalled = true;
    }

    /// The end: the client got `status` and `bytes_sent` bytes of body; see [`Outcome::complete`]. Gives the time.
    pub(crate) fn finish(mut self, status: u16, bytes_sent: u64, complete: bool) -> Instant {
        let now = Instant::now();
        self.end(Some(status), bytes_sent, complete, now);
        now
    }

    fn end(&mut self, status: Option<u16>, bytes_sent: u64, complete: bool, at: Instant) {
        if let Some(owner) = self.owner.take() {
            let (stalled, cpu) = (self.stalled, self.reply.cpu());
            owner.ended(self.key, Outcome { status, bytes_sent, complete, stalled, cpu, at });
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.owner.is_some() {
            self.end(None, 0, false, Instant::now());
        }
    }
}
