//! Bodies of responses, pulled from their connection by who reads them.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http_body::Body as _;
use hyper::body::Incoming;
use nexus_guest::{Body, BodyError, BodySource, RequestId};
use tokio::time::{Instant, Sleep, sleep};

use crate::fault;
use crate::h1::H1;
use crate::h2::H2Stream;
use crate::tasks::Task;
use crate::upload::UploadState;

/// Bodies of up to this length are read without waiting for their reader, so that their connections are free again.
pub(crate) const READ_AHEAD: u64 = 64 << 10;

/// The connection that a response comes over. Dropped, it breaks the exchange off.
pub(crate) enum Held {
    H1(H1),
    H2(H2Stream),
}

impl Held {
    /// Gives the connection back after its exchange, of which the `upload` may still be under way.
    pub(crate) fn release(self, upload: &UploadState) {
        match self {
            Held::H1(h1) if upload.has_ended() => h1.give_back(),
            // What is still under way would be read as part of the next request.
            Held::H1(h1) => drop(h1),
            Held::H2(stream) => stop_upload(&stream, upload),
        }
    }

    /// Breaks the exchange off.
    pub(crate) fn abandon(self, upload: &UploadState) {
        if let Held::H2(stream) = &self {
            stop_upload(stream, upload);
        }
    }
}

fn stop_upload(stream: &H2Stream, upload: &UploadState) {
    if !upload.has_ended() {
        upload.cancel();
        // A peer that grants no window would keep the stream for ever: the connection ends with its other streams.
        stream.retire();
    }
}

/// What was asked for, for people: `GET https://example.com/path`.
pub(crate) struct Asked {
    pub(crate) method: nexus_guest::Method,
    pub(crate) place: Rc<crate::place::Place>,
    pub(crate) target: String,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 80;
        let key = &self.place.key;
        let scheme = if key.secure { "https" } else { "http" };
        write!(f, "{} {scheme}://{}", self.method, key.host)?;
        if key.port != if key.secure { 443 } else { 80 } {
            write!(f, ":{}", key.port)?;
        }
        // A query may hold what nobody should read in a log.
        let path = self.target.split('?').next().unwrap_or_default();
        match path.char_indices().nth(SHOWN) {
            Some((at, _)) => write!(f, "{}…", &path[..at]),
            None => f.write_str(path),
        }
    }
}

/// A response's body as its reader, the one who reads ahead and the queue for its connection see it.
pub(crate) struct State {
    incoming: Option<Incoming>,
    /// The connection, until the body has ended.
    pub(crate) held: Option<Held>,
    upload: Rc<UploadState>,
    /// What came and was not read.
    chunks: VecDeque<Bytes>,
    /// How it ended; told after the chunks, once.
    end: Option<Result<(), BodyError>>,
    /// Bytes that came.
    came: u64,
    limit: u64,
    /// Bytes that its reader has still to get.
    left: Option<u64>,
    patience: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    timing: bool,
    /// Who waits for the next chunk.
    pub(crate) reader: Option<Waker>,
    /// When the response came.
    pub(crate) began: Instant,
    /// Since when a chunk could be read and nobody did.
    unread: Instant,
    ahead: Option<Task>,
    pub(crate) sender: Option<RequestId>,
    pub(crate) asked: Asked,
}

/// What a response's body is made of.
pub(crate) struct Parts {
    pub(crate) incoming: Incoming,
    pub(crate) held: Held,
    pub(crate) upload: Rc<UploadState>,
    pub(crate) limit: u64,
    pub(crate) idle: Duration,
    pub(crate) sender: Option<RequestId>,
    pub(crate) asked: Asked,
}

/// Makes a body, which is not empty. Within the worker's `LocalSet`.
pub(crate) fn body(parts: Parts) -> Body {
    let length = parts.incoming.size_hint().exact();
    let place = parts.asked.place.clone();
    let began = Instant::now();
    let state = Rc::new(RefCell::new(State {
        incoming: Some(parts.incoming),
        held: Some(parts.held),
        upload: parts.upload,
        chunks: VecDeque::new(),
        end: None,
        came: 0,
        limit: parts.limit,
        left: length,
        patience: parts.idle,
        timer: None,
        timing: false,
        reader: None,
        began,
        unread: began,
        ahead: None,
        sender: parts.sender,
        asked: parts.asked,
    }));
    if length.is_some_and(|length| length > parts.limit) {
        let held = state.borrow_mut().end(Err(BodyError::TooLarge { limit: parts.limit }));
        drop(held);
    } else if length.is_some_and(|length| length <= READ_AHEAD) {
        // Most small bodies come with their heads, and need nobody who waits for them.
        if let Some(whole) = state.borrow_mut().at_once() {
            return Body::Full(whole);
        }
        let weak = Rc::downgrade(&state);
        let task = Task::spawn(poll_fn(move |cx| {
            let Some(state) = weak.upgrade() else { return Poll::Ready(()) };
            let (ended, reader) = {
                let mut state = state.borrow_mut();
                let before = state.chunks.len();
                while state.pull(cx).is_ready() && state.end.is_none() {}
                let news = state.end.is_some() || state.chunks.len() > before;
                (state.end.is_some(), if news { state.reader.take() } else { None })
            };
            if let Some(reader) = reader {
                reader.wake();
            }
            if ended { Poll::Ready(()) } else { Poll::Pending }
        }));
        state.borrow_mut().ahead = Some(task);
    } else {
        place.responses.add(&state);
    }
    Body::Stream(Box::new(Source(state)))
}

impl State {
    /// Ends the body, and gives what it held: for the caller to drop, when nothing is borrowed any more.
    pub(crate) fn end(&mut self, end: Result<(), BodyError>) -> Option<Incoming> {
        if self.end.is_none() {
            self.end = Some(end.clone());
        }
        self.timer = None;
        if let Some(held) = self.held.take() {
            if end.is_ok() {
                held.release(&self.upload);
            } else {
                held.abandon(&self.upload);
            }
        }
        self.incoming.take()
    }

    /// The whole body, if it has come already, in one piece.
    fn at_once(&mut self) -> Option<Bytes> {
        let mut cx = Context::from_waker(Waker::noop());
        while self.end.is_none() && self.pull(&mut cx).is_ready() {}
        let is_whole = matches!(self.end, Some(Ok(()))) && self.chunks.len() == 1;
        self.chunks.pop_front_if(|_| is_whole)
    }

    /// Takes one chunk from the connection, or the end.
    fn pull(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(incoming) = &mut self.incoming else { return Poll::Ready(()) };
        match Pin::new(&mut *incoming).poll_frame(cx) {
            Poll::Pending => return self.time_out(cx),
            // A stream that is reset without an error ends here as well, but is at its end only if the peer said so.
            Poll::Ready(None) => {
                let is_whole = incoming.is_end_stream() || !matches!(self.held, Some(Held::H2(_)));
                drop(self.end(if is_whole { Ok(()) } else { Err(BodyError::Disconnected) }));
            }
            Poll::Ready(Some(Err(error))) => {
                let error = match self.upload.failed() {
                    Some(_) => BodyError::Aborted,
                    None => fault::of_body(&error),
                };
                drop(self.end(Err(error)));
            }
            Poll::Ready(Some(Ok(frame))) => {
                self.timing = false;
                // Trailers are nobody's.
                if let Ok(chunk) = frame.into_data()
                    && !chunk.is_empty()
                {
                    self.came += chunk.len() as u64;
                    if self.came > self.limit {
                        drop(self.end(Err(BodyError::TooLarge { limit: self.limit })));
                        return Poll::Ready(());
                    }
                    self.chunks.push_back(chunk);
                }
                // Where the length is known the connection is free with the last byte.
                if self.incoming.as_ref().is_some_and(|incoming| incoming.is_end_stream()) {
                    drop(self.end(Ok(())));
                }
            }
        }
        Poll::Ready(())
    }

    /// Waits for the next byte, and not for ever.
    fn time_out(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let timer = match &mut self.timer {
            Some(timer) => {
                if !self.timing {
                    timer.as_mut().reset(Instant::now() + self.patience);
                }
                timer
            }
            none => none.insert(Box::pin(sleep(self.patience))),
        };
        self.timing = true;
        if timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        drop(self.end(Err(BodyError::TimedOut)));
        Poll::Ready(())
    }

    /// Whether nobody reads it although there is something to read, for so long.
    pub(crate) fn is_unread(&mut self, now: Instant, patience: Duration) -> bool {
        if self.held.is_none() || self.ahead.is_some() {
            return false;
        }
        // Its reader waits, or was told that there is something and does not come.
        if let Some(reader) = self.reader.clone() {
            if self.chunks.is_empty() && self.pull(&mut Context::from_waker(&reader)).is_pending() {
                return false;
            }
            self.reader = None;
            self.unread = now;
            reader.wake();
            return false;
        }
        now.duration_since(self.unread) >= patience
    }

    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        loop {
            if let Some(chunk) = self.chunks.pop_front() {
                self.left = self.left.map(|left| left.saturating_sub(chunk.len() as u64));
                self.unread = Instant::now();
                return Poll::Ready(Some(Ok(chunk)));
            }
            if let Some(end) = &mut self.end {
                return match std::mem::replace(end, Ok(())) {
                    Ok(()) => Poll::Ready(None),
                    Err(error) => Poll::Ready(Some(Err(error))),
                };
            }
            if self.ahead.is_some() || self.pull(cx).is_pending() {
                self.reader = Some(cx.waker().clone());
                return Poll::Pending;
            }
        }
    }
}

/// What the guest holds. Dropped before its end, it breaks the exchange off.
struct Source(Rc<RefCell<State>>);

impl BodySource for Source {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        let mut state = self.0.borrow_mut();
        state.reader = None;
        state.next(cx)
    }

    fn exact_length(&self) -> Option<u64> {
        self.0.borrow().left
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        let rest = {
            let mut state = self.0.borrow_mut();
            state.ahead = None;
            // A body that was read to its end has given its connection back already.
            state.end(Err(BodyError::Aborted))
        };
        drop(rest);
    }
}
