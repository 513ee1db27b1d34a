//! Bodies as streams of chunks, pulled by their reader.
//!
//! [`pipe`] is the one way to make a streaming body whose two ends run at different speeds: the
//! writer learns when the pipe is full and when its reader has gone, the reader when the writer
//! has finished or failed. Both ends stay on one thread.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

/// A body of a request or a reply.
#[derive(Default)]
pub enum Body {
    /// No body at all. A reply without a body carries no `content-type` either.
    #[default]
    Empty,
    /// A body that is there as a whole; may have length 0.
    Full(Bytes),
    /// A body that comes in chunks.
    Stream(Box<dyn BodySource>),
}

impl Body {
    /// The number of bytes to come, where that is known.
    pub fn exact_length(&self) -> Option<u64> {
        match self {
            Body::Empty => Some(0),
            Body::Full(bytes) => Some(bytes.len() as u64),
            Body::Stream(source) => source.exact_length(),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Body::Empty => f.write_str("Empty"),
            Body::Full(bytes) => write!(f, "Full({} bytes)", bytes.len()),
            Body::Stream(source) => write!(f, "Stream({:?} bytes)", source.exact_length()),
        }
    }
}

/// A streaming body's reading end. Dropping it tells the writer that nobody reads any more.
pub trait BodySource {
    /// The next chunk, never empty; `None` at the end, and from then on.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>>;

    /// The number of bytes still to come, where that is known beforehand.
    fn exact_length(&self) -> Option<u64> {
        None
    }
}

/// Why a body broke off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyError {
    /// The peer went away in the middle.
    Disconnected,
    /// The body is longer than the app's limit, in bytes.
    TooLarge {
        /// The limit that it passed.
        limit: u64,
    },
    /// The peer sent something that is no valid body (a bad chunk size, say).
    Malformed(&'static str),
    /// No byte came for too long.
    TimedOut,
    /// The writing end gave up: the guest's stream errored, or the guest was stopped.
    Aborted,
    /// Nobody read it while others waited for its connection.
    Evicted,
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BodyError::Disconnected => f.write_str("the peer disconnected before the body's end"),
            BodyError::TooLarge { limit } => write!(f, "the body is larger than the limit of {limit} bytes"),
            BodyError::Malformed(what) => write!(f, "the body is malformed: {what}"),
            BodyError::TimedOut => f.write_str("no byte of the body came for too long"),
            BodyError::Aborted => f.write_str("the body was aborted by its producer"),
            BodyError::Evicted => f.write_str(
                "the body was cancelled: nobody read it while other requests waited for its connection",
            ),
        }
    }
}

impl std::error::Error for BodyError {}

/// What a [`BodyWriter`] may do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PipeState {
    /// There is room: write on.
    Room,
    /// The pipe holds as much as it should: wait for [`BodyWriter::poll_room`].
    Full,
    /// The reader has gone: what is written goes nowhere.
    Closed,
}

struct Pipe {
    chunks: VecDeque<Bytes>,
    /// Bytes in `chunks`.
    held: usize,
    /// From this many bytes on the pipe is full. One chunk may overshoot it.
    capacity: usize,
    /// The declared number of bytes that the reader has still to see.
    remaining: Option<u64>,
    end: Option<Result<(), BodyError>>,
    reader_gone: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Pipe {
    fn state(&self) -> PipeState {
        if self.reader_gone {
            PipeState::Closed
        } else if self.held >= self.capacity {
            PipeState::Full
        } else {
            PipeState::Room
        }
    }

    fn wake_reader(&mut self) {
        if let Some(waker) = self.reader.take() {
            waker.wake();
        }
    }

    fn wake_writer(&mut self) {
        if let Some(waker) = self.writer.take() {
            waker.wake();
        }
    }
}

/// A pipe that is full at `capacity` bytes. `length` is the body's length where it is known; it is
/// passed on to the reader, not enforced.
pub fn pipe(capacity: usize, length: Option<u64>) -> (BodyWriter, Body) {
    let pipe = Rc::new(RefCell::new(Pipe {
        chunks: VecDeque::new(),
        held: 0,
        capacity,
        remaining: length,
        end: None,
        reader_gone: false,
        reader: None,
        writer: None,
    }));
    (BodyWriter { pipe: pipe.clone() }, Body::Stream(Box::new(PipeReader { pipe })))
}

/// The writing end of a [`pipe`]. Dropped without [`finish`](BodyWriter::finish), it aborts the body.
pub struct BodyWriter {
    pipe: Rc<RefCell<Pipe>>,
}

impl BodyWriter {
    /// Adds a chunk (an empty one is nothing) and says whether to go on. A full pipe takes the chunk all
    /// the same: to hold the writer back is the writer's own duty.
    pub fn write(&self, chunk: Bytes) -> PipeState {
        let mut pipe = self.pipe.borrow_mut();
        if pipe.reader_gone || pipe.end.is_some() {
            return PipeState::Closed;
        }
        if !chunk.is_empty() {
            pipe.held += chunk.len();
            pipe.chunks.push_back(chunk);
            pipe.wake_reader();
        }
        pipe.state()
    }

    /// What the writer may do now.
    pub fn state(&self) -> PipeState {
        self.pipe.borrow().state()
    }

    /// Ready with [`PipeState::Room`] or [`PipeState::Closed`].
    pub fn poll_room(&self, cx: &mut Context<'_>) -> Poll<PipeState> {
        let mut pipe = self.pipe.borrow_mut();
        match pipe.state() {
            PipeState::Full => {
                pipe.writer = Some(cx.waker().clone());
                Poll::Pending
            }
            state => Poll::Ready(state),
        }
    }

    /// Waits for [`PipeState::Room`] or [`PipeState::Closed`].
    pub async fn room(&self) -> PipeState {
        poll_fn(|cx| self.poll_room(cx)).await
    }

    /// Ends the body well.
    pub fn finish(self) {
        self.end(Ok(()));
    }

    /// Breaks the body off: the reader gets what is already in the pipe, then the error.
    pub fn fail(self, error: BodyError) {
        self.end(Err(error));
    }

    fn end(&self, end: Result<(), BodyError>) {
        let mut pipe = self.pipe.borrow_mut();
        if pipe.end.is_none() {
            pipe.end = Some(end);
            pipe.wake_reader();
        }
    }
}

impl Drop for BodyWriter {
    fn drop(&mut self) {
        self.end(Err(BodyError::Aborted));
    }
}

struct PipeReader {
    pipe: Rc<RefCell<Pipe>>,
}

impl BodySource for PipeReader {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        let mut pipe = self.pipe.borrow_mut();
        if let Some(chunk) = pipe.chunks.pop_front() {
            let was_full = pipe.state() == PipeState::Full;
            pipe.held -= chunk.len();
            if let Some(remaining) = &mut pipe.remaining {
                *remaining = remaining.saturating_sub(chunk.len() as u64);
            }
            if was_full && pipe.state() == PipeState::Room {
                pipe.wake_writer();
            }
            return Poll::Ready(Some(Ok(chunk)));
        }
        match &pipe.end {
            Some(Ok(())) => Poll::Ready(None),
            Some(Err(error)) => {
                let error = error.clone();
                // An error is told once; after it the body is over.
                pipe.end = Some(Ok(()));
                Poll::Ready(Some(Err(error)))
            }
            None => {
                pipe.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn exact_length(&self) -> Option<u64> {
        self.pipe.borrow().remaining
    }
}

impl Drop for PipeReader {
    fn drop(&mut self) {
        let mut pipe = self.pipe.borrow_mut();
        pipe.reader_gone = true;
        pipe.chunks.clear();
        pipe.held = 0;
        pipe.wake_writer();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::task::noop_waker;

    fn next(body: &mut Body) -> Poll<Option<Result<Bytes, BodyError>>> {
        let Body::Stream(source) = body else { panic!("a pipe's body is a stream") };
        source.poll_chunk(&mut Context::from_waker(&noop_waker()))
    }

    #[test]
    fn a_full_pipe_holds_its_writer_back_until_the_reader_has_read() {
        let (writer, mut body) = pipe(4, None);
        assert_eq!(writer.write(Bytes::from_static(b"abc")), PipeState::Room);
        assert_eq!(writer.write(Bytes::from_static(b"de")), PipeState::Full);
        assert!(writer.poll_room(&mut Context::from_waker(&noop_waker())).is_pending());
        assert_eq!(next(&mut body), Poll::Ready(Some(Ok(Bytes::from_static(b"abc")))));
        assert_eq!(writer.state(), PipeState::Room);
    }

    #[test]
    fn a_reader_that_goes_away_closes_the_pipe() {
        let (writer, body) = pipe(4, None);
        drop(body);
        assert_eq!(writer.write(Bytes::from_static(b"abc")), PipeState::Closed);
    }

    #[test]
    fn a_writer_that_is_dropped_aborts_the_body_after_what_it_wrote() {
        let (writer, mut body) = pipe(4, None);
        writer.write(Bytes::from_static(b"abc"));
        drop(writer);
        assert_eq!(next(&mut body), Poll::Ready(Some(Ok(Bytes::from_static(b"abc")))));
        assert_eq!(next(&mut body), Poll::Ready(Some(Err(BodyError::Aborted))));
        assert_eq!(next(&mut body), Poll::Ready(None));
    }
}
