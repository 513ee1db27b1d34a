//! Bodies from one thread to another, with backpressure: a [`nexus_guest::pipe`] whose ends are on two threads.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use nexus_guest::{Body, BodyError, BodySource};

/// From so many bytes on a stream is full. One chunk may overshoot it.
const CAPACITY: usize = 128 * 1024;

/// For how long the passing on of a body waits before it breaks off; for ever where nothing is said.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Patience {
    /// For something to come.
    pub(crate) source: Option<Duration>,
    /// For somebody to read what has come.
    pub(crate) reader: Option<Duration>,
}

/// A body on its way to another thread.
#[derive(Debug)]
pub(crate) enum SentBody {
    Empty,
    Full(Bytes),
    Stream(Flow),
}

impl SentBody {
    /// Makes a body ready to be sent. What comes in chunks is passed on by the second value, which is to be awaited on
    /// this thread.
    pub(crate) fn of(body: Body, patience: Patience) -> (Self, Option<impl Future<Output = Passed>>) {
        match body {
            Body::Empty => (SentBody::Empty, None),
            Body::Full(bytes) => (SentBody::Full(bytes), None),
            Body::Stream(source) => {
                let (feed, flow) = across(source.exact_length());
                (SentBody::Stream(flow), Some(pass(source, feed, patience)))
            }
        }
    }

    /// What breaks it off from any thread, if it comes in chunks.
    pub(super) fn aborter(&self) -> Option<Aborter> {
        match self {
            SentBody::Stream(flow) => Some(Aborter(flow.0.clone())),
            SentBody::Empty | SentBody::Full(_) => None,
        }
    }

    /// The body, where it has arrived.
    pub(crate) fn into_body(self) -> Body {
        match self {
            SentBody::Empty => Body::Empty,
            SentBody::Full(bytes) => Body::Full(bytes),
            SentBody::Stream(flow) => Body::Stream(Box::new(flow)),
        }
    }
}

/// More of a body than this goes to another app in pieces: whoever holds it without reading is to hold little.
const PIECE: usize = 64 * 1024;

/// A body that the other thread gets in pieces, no faster than it reads them, if it is large.
pub(crate) fn in_pieces(body: Body) -> Body {
    match body {
        Body::Full(bytes) if bytes.len() > PIECE => Body::Stream(Box::new(Pieces(bytes))),
        body => body,
    }
}

/// What is left of a whole body.
struct Pieces(Bytes);

impl BodySource for Pieces {
    fn poll_chunk(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        let piece = self.0.split_to(self.0.len().min(PIECE));
        Poll::Ready((!piece.is_empty()).then_some(Ok(piece)))
    }

    fn exact_length(&self) -> Option<u64> {
        Some(self.0.len() as u64)
    }
}

/// How the passing on of a body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Passed {
    /// How many bytes the other thread was given.
    pub(crate) bytes: u64,
    /// Whether that was all of it.
    pub(crate) complete: bool,
    /// Whether it broke off because nothing of it came for too long.
    pub(crate) stalled: bool,
}

#[derive(Debug)]
struct State {
    chunks: VecDeque<Bytes>,
    held: usize,
    /// The declared number of bytes that the reader has still to see.
    remaining: Option<u64>,
    end: Option<Result<(), BodyError>>,
    reader_gone: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Debug, Clone)]
struct Shared(Arc<Mutex<State>>);

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Each change leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes it and wakes whom that concerns, when nothing is locked any more.
    fn change(&self, change: impl FnOnce(&mut State) -> Option<Waker>) {
        let waker = change(&mut self.state());
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn nobody_reads(&self) {
        self.change(|state| {
            state.reader_gone = true;
            state.chunks.clear();
            state.held = 0;
            state.writer.take()
        });
    }
}

/// The writing end. Dropped before the end, it aborts the body.
struct Feed(Shared);

/// The reading end.
#[derive(Debug)]
pub(crate) struct Flow(Shared);

/// Breaks a body off, from any thread.
#[derive(Debug)]
pub(super) struct Aborter(Shared);

impl Aborter {
    pub(super) fn abort(self) {
        Feed(self.0).end(Err(BodyError::Aborted));
    }

    /// Nobody reads it any more.
    pub(super) fn forget(self) {
        self.0.nobody_reads();
    }
}

fn across(length: Option<u64>) -> (Feed, Flow) {
    let shared = Shared(Arc::new(Mutex::new(State {
        chunks: VecDeque::new(),
        held: 0,
        remaining: length,
        end: None,
        reader_gone: false,
        reader: None,
        writer: None,
    })));
    (Feed(shared.clone()), Flow(shared))
}

impl Feed {
    /// Whether somebody reads, once there is room.
    fn poll_room(&self, cx: &Context<'_>) -> Poll<bool> {
        let mut state = self.0.state();
        if state.reader_gone {
            return Poll::Ready(false);
        }
        if state.held < CAPACITY {
            return Poll::Ready(true);
        }
        state.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Ready when nobody reads any more.
    fn poll_gone(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.0.state();
        if state.reader_gone {
            return Poll::Ready(());
        }
        state.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    fn write(&self, chunk: Bytes) {
        self.0.change(|state| {
            if state.reader_gone {
                return None;
            }
            state.held += chunk.len();
            state.chunks.push_back(chunk);
            state.reader.take()
        });
    }

    fn end(&self, end: Result<(), BodyError>) {
        self.0.change(|state| {
            if state.end.is_some() {
                return None;
            }
            state.end = Some(end);
            state.reader.take()
        });
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.end(Err(BodyError::Aborted));
    }
}

impl BodySource for Flow {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        let mut state = self.0.state();
        if let Some(chunk) = state.chunks.pop_front() {
            let was_full = state.held >= CAPACITY;
            state.held -= chunk.len();
            if let Some(remaining) = &mut state.remaining {
                *remaining = remaining.saturating_sub(chunk.len() as u64);
            }
            let writer = if was_full && state.held < CAPACITY { state.writer.take() } else { None };
            drop(state);
            if let Some(writer) = writer {
                writer.wake();
            }
            return Poll::Ready(Some(Ok(chunk)));
        }
        match state.end.take() {
            Some(Ok(())) => {
                state.end = Some(Ok(()));
                Poll::Ready(None)
            }
            Some(Err(error)) => {
                // An error is told once; after it the body is over.
                state.end = Some(Ok(()));
                Poll::Ready(Some(Err(error)))
            }
            None => {
                state.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn exact_length(&self) -> Option<u64> {
        self.0.state().remaining
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.0.nobody_reads();
    }
}

/// Passes a body on, to its end or until nobody reads it any more.
async fn pass(mut source: Box<dyn BodySource>, feed: Feed, patience: Patience) -> Passed {
    let mut bytes = 0;
    let broken = |bytes, stalled| Passed { bytes, complete: false, stalled };
    loop {
        match within(patience.reader, poll_fn(|cx| feed.poll_room(cx))).await {
            Some(true) => {}
            Some(false) => return broken(bytes, false),
            None => {
                feed.end(Err(BodyError::TimedOut));
                return broken(bytes, false);
            }
        }
        let next = poll_fn(|cx| match source.poll_chunk(cx) {
            Poll::Ready(chunk) => Poll::Ready(Some(chunk)),
            Poll::Pending => feed.poll_gone(cx).map(|()| None),
        });
        let Some(next) = within(patience.source, next).await else {
            feed.end(Err(BodyError::TimedOut));
            return broken(bytes, true);
        };
        match next {
            Some(Some(Ok(chunk))) => {
                bytes += chunk.len() as u64;
                feed.write(chunk);
            }
            Some(Some(Err(error))) => {
                feed.end(Err(error));
                return broken(bytes, false);
            }
            Some(None) => {
                feed.end(Ok(()));
                return Passed { bytes, complete: true, stalled: false };
            }
            None => return broken(bytes, false),
        }
    }
}

/// What comes of this within the time, if it is bounded.
async fn within<T>(time: Option<Duration>, future: impl Future<Output = T>) -> Option<T> {
    match time {
        Some(time) => tokio::time::timeout(time, future).await.ok(),
        None => Some(future.await),
    }
}

#[cfg(test)]
mod tests {
    use nexus_guest::pipe;

    use super::*;

    async fn next(body: &mut Body) -> Option<Result<Bytes, BodyError>> {
        let Body::Stream(source) = body else { panic!("it is a stream") };
        poll_fn(|cx| source.poll_chunk(cx)).await
    }

    /// Passes a body of these chunks to another thread; gives what arrived there, and how it ended here.
    fn pass_on(
        chunks: usize,
        size: usize,
        end: Option<BodyError>,
        take: usize,
    ) -> (Vec<u8>, Option<BodyError>, Passed) {
        let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (writer, body) = pipe(1024, None);
        let (sent, passing) = SentBody::of(body, Patience::default());
        let reading = std::thread::spawn(move || {
            runtime().block_on(async {
                let mut body = sent.into_body();
                let (mut read, mut error) = (Vec::new(), None);
                while read.len() < take {
                    match next(&mut body).await {
                        Some(Ok(chunk)) => read.extend_from_slice(&chunk),
                        Some(Err(fault)) => error = Some(fault),
                        None => break,
                    }
                }
                (read, error)
            })
        });
        let passed = runtime().block_on(async {
            let writing = async {
                for n in 0..chunks {
                    writer.room().await;
                    writer.write(vec![n as u8; size].into());
                }
                match end {
                    None => writer.finish(),
                    Some(error) => writer.fail(error),
                }
            };
            futures_util::future::join(writing, passing.unwrap()).await.1
        });
        let (read, error) = reading.join().unwrap();
        (read, error, passed)
    }

    #[test]
    fn a_large_body_goes_to_another_app_in_pieces() {
        let whole = |length: usize| Body::Full(vec![7; length].into());
        assert!(matches!(in_pieces(whole(PIECE)), Body::Full(_)));
        let Body::Stream(mut source) = in_pieces(whole(2 * PIECE + 5)) else { panic!("it is whole") };
        assert_eq!(source.exact_length(), Some(2 * PIECE as u64 + 5));
        let mut cx = Context::from_waker(Waker::noop());
        let mut lengths = Vec::new();
        while let Poll::Ready(Some(Ok(piece))) = source.poll_chunk(&mut cx) {
            lengths.push(piece.len());
        }
        assert_eq!(lengths, [PIECE, PIECE, 5]);
    }

    #[test]
    fn a_body_arrives_whole_and_in_order_on_another_thread() {
        let (read, error, passed) = pass_on(200, 10_000, None, usize::MAX);
        let expected: Vec<u8> = (0..200u8).flat_map(|n| vec![n; 10_000]).collect();
        assert!(read == expected && error.is_none());
        assert_eq!(passed, Passed { bytes: 2_000_000, complete: true, stalled: false });
    }

    #[test]
    fn a_body_that_breaks_off_breaks_off_there_too_after_what_came_before() {
        let (read, error, passed) = pass_on(3, 5, Some(BodyError::TimedOut), usize::MAX);
        assert_eq!((read.len(), error), (15, Some(BodyError::TimedOut)));
        assert!(!passed.complete);
    }

    #[test]
    fn who_reads_no_more_is_noticed_by_the_writer() {
        let (read, _, passed) = pass_on(1000, 10_000, None, 10_000);
        assert_eq!(read.len(), 10_000);
        assert!(!passed.complete && passed.bytes < 1_000_000, "{passed:?}");
    }

    #[test]
    fn no_more_is_held_than_there_is_room_for() {
        let (feed, flow) = across(None);
        let cx = Context::from_waker(Waker::noop());
        let mut held = 0;
        while feed.poll_room(&cx) == Poll::Ready(true) {
            feed.write(vec![0; 1000].into());
            held += 1000;
        }
        assert!((CAPACITY..CAPACITY + 1000).contains(&held));
        drop(flow);
        assert_eq!(feed.poll_room(&cx), Poll::Ready(false));
    }
}
