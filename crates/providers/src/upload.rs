//! Bodies on their way out: pulled from the guest as the connection has room.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use nexus_guest::{Body, BodySource};
use tokio::time::Instant;

/// How much of a body that is there as a whole is handed over at once, so that its progress is seen.
const PIECE: usize = 64 << 10;

/// A request's body.
pub(crate) struct Upload {
    rest: Rest,
    state: Rc<UploadState>,
}

enum Rest {
    Bytes(Bytes),
    Stream { source: Box<dyn BodySource>, length: Option<u64> },
}

/// What others see of an upload.
pub(crate) struct UploadState {
    ended: Cell<bool>,
    cancelled: Cell<bool>,
    failed: RefCell<Option<String>>,
    /// When the connection took something last.
    moved: Cell<Option<Instant>>,
    waker: RefCell<Option<Waker>>,
}

impl UploadState {
    /// Whether all of the body was handed over.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.get()
    }

    /// Why the body broke off, if it is to blame.
    pub(crate) fn failed(&self) -> Option<String> {
        self.failed.borrow().clone()
    }

    /// When a part of the body was taken last.
    pub(crate) fn moved(&self) -> Option<Instant> {
        self.moved.get()
    }

    /// Breaks it off: nobody waits for its response any more.
    pub(crate) fn cancel(&self) {
        self.cancelled.set(true);
        let waker = self.waker.borrow_mut().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn fail<T>(&self, why: String) -> Poll<Option<Result<T, String>>> {
        *self.failed.borrow_mut() = Some(why.clone());
        Poll::Ready(Some(Err(why)))
    }
}

impl Upload {
    pub(crate) fn new(body: Body) -> Self {
        let rest = match body {
            Body::Empty => Rest::Bytes(Bytes::new()),
            Body::Full(bytes) => Rest::Bytes(bytes),
            Body::Stream(source) => {
                let length = source.exact_length();
                Rest::Stream { source, length }
            }
        };
        let state = UploadState {
            ended: Cell::new(matches!(&rest, Rest::Bytes(bytes) if bytes.is_empty())),
            cancelled: Cell::new(false),
            failed: RefCell::new(None),
            moved: Cell::new(None),
            waker: RefCell::new(None),
        };
        Self { rest, state: Rc::new(state) }
    }

    pub(crate) fn state(&self) -> Rc<UploadState> {
        self.state.clone()
    }
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = String;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, String>>> {
        let Self { rest, state } = &mut *self;
        if state.cancelled.get() {
            return Poll::Ready(Some(Err("it was cancelled".to_owned())));
        }
        let chunk = match rest {
            Rest::Bytes(bytes) if bytes.is_empty() => None,
            Rest::Bytes(bytes) => Some(bytes.split_to(bytes.len().min(PIECE))),
            Rest::Stream { source, length } => match source.poll_chunk(cx) {
                Poll::Pending => {
                    *state.waker.borrow_mut() = Some(cx.waker().clone());
                    return Poll::Pending;
                }
                Poll::Ready(Some(Err(error))) => return state.fail(error.to_string()),
                Poll::Ready(Some(Ok(chunk))) => {
                    if let Some(left) = length {
                        match left.checked_sub(chunk.len() as u64) {
                            Some(rest) => *left = rest,
                            None => return state.fail("it is longer than declared".to_owned()),
                        }
                    }
                    Some(chunk)
                }
                Poll::Ready(None) if length.is_some_and(|left| left > 0) => {
                    return state.fail("it is shorter than declared".to_owned());
                }
                Poll::Ready(None) => None,
            },
        };
        state.moved.set(Some(Instant::now()));
        // At its declared end the connection asks no more.
        if chunk.is_none() || rest.left() == Some(0) {
            state.ended.set(true);
        }
        Poll::Ready(chunk.map(|chunk| Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.left() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.rest.left().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Rest {
    fn left(&self) -> Option<u64> {
        match self {
            Rest::Bytes(bytes) => Some(bytes.len() as u64),
            Rest::Stream { length, .. } => *length,
        }
    }
}
