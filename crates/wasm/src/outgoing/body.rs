//! Bodies of requests that guests send, and of the responses to them.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_util::future::{Either, select};
use http_body::Body as HttpBody;
use nexus_guest::{Body, BodyError, BodySource};
use tokio::sync::{mpsc, oneshot};
use wasmtime_wasi_http::{Error as HttpError, WasiBody};

use crate::account::Held;
use crate::exchange::Piece;

/// So many bytes of a request's body are gathered at the most before it is sent.
pub(super) const GATHERED: usize = 64 * 1024;

/// What a guest's body failed with, for whoever learns only that it did.
pub(super) type Fault = Rc<RefCell<Option<HttpError>>>;

/// A request's body, and what becomes of it.
pub(super) struct Taken {
    pub(super) body: Body,
    pub(super) fault: Fault,
    /// Resolves when it was read to its end, or is not read any more; `None` if it was there as a whole.
    pub(super) sent: Option<oneshot::Receiver<Result<(), HttpError>>>,
}

/// Takes a guest's body. One that is there as a whole is sent as such: with its length, and not in chunks, which not
/// every server takes.
/// A stream takes what is `held` for it along.
pub(super) async fn take(body: WasiBody, length: Option<u64>, held: Arc<Held>) -> Taken {
    let (told, sent) = oneshot::channel();
    let fault = Fault::default();
    let mut upload = Upload {
        remaining: body.size_hint().exact().or(length),
        body,
        chunks: VecDeque::new(),
        fault: fault.clone(),
        told: Some(told),
        _held: held,
    };
    let whole = poll_fn(|cx| Poll::Ready(upload.gather(cx))).await;
    match whole {
        Some(bytes) if bytes.is_empty() => Taken { body: Body::Empty, fault, sent: None },
        Some(bytes) => Taken { body: Body::Full(bytes), fault, sent: None },
        None => Taken { body: Body::Stream(Box::new(upload)), fault, sent: Some(sent) },
    }
}

/// A body as the guest writes it.
struct Upload {
    body: WasiBody,
    /// What was gathered before.
    chunks: VecDeque<Result<Bytes, HttpError>>,
    remaining: Option<u64>,
    fault: Fault,
    told: Option<oneshot::Sender<Result<(), HttpError>>>,
    _held: Arc<Held>,
}

impl Upload {
    /// Takes what is there. Gives the body if that is all of it.
    fn gather(&mut self, cx: &mut Context<'_>) -> Option<Bytes> {
        let mut size = 0;
        while size < GATHERED {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    // Trailers are not passed on.
                    let Ok(chunk) = frame.into_data() else { continue };
                    size += chunk.len();
                    self.chunks.push_back(Ok(chunk));
                }
                Poll::Ready(Some(Err(error))) => {
                    self.chunks.push_back(Err(error));
                    return None;
                }
                Poll::Ready(None) => {
                    let mut whole = BytesMut::with_capacity(size);
                    self.chunks.drain(..).flatten().for_each(|chunk| whole.extend_from_slice(&chunk));
                    return Some(whole.freeze());
                }
                Poll::Pending => return None,
            }
        }
        None
    }

    fn tell(&mut self, end: Result<(), HttpError>) {
        if let Some(told) = self.told.take() {
            // The guest may not want to know.
            let _ = told.send(end);
        }
    }
}

impl BodySource for Upload {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        if self.told.is_none() {
            return Poll::Ready(None);
        }
        let chunk = loop {
            let next = match self.chunks.pop_front() {
                Some(next) => Some(next),
                None => match Pin::new(&mut self.body).poll_frame(cx) {
                    Poll::Pending => return Poll::Pending,
                    // Trailers are not passed on.
                    Poll::Ready(Some(Ok(frame))) => Some(Ok(frame.into_data().unwrap_or_default())),
                    Poll::Ready(Some(Err(error))) => Some(Err(error)),
                    Poll::Ready(None) => None,
                },
            };
            match next {
                Some(Ok(chunk)) if chunk.is_empty() => {}
                Some(Ok(chunk)) => break chunk,
                Some(Err(error)) => {
                    *self.fault.borrow_mut() = Some(error);
                    self.tell(Err(HttpError::ConnectionTerminated));
                    return Poll::Ready(Some(Err(BodyError::Aborted)));
                }
                None => {
                    self.tell(Ok(()));
                    return Poll::Ready(None);
                }
            }
        };
        if let Some(remaining) = &mut self.remaining {
            *remaining = remaining.saturating_sub(chunk.len() as u64);
        }
        Poll::Ready(Some(Ok(chunk)))
    }

    fn exact_length(&self) -> Option<u64> {
        self.remaining
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // Where the length is known, nobody asks for the end.
        let is_whole = self.remaining == Some(0);
        self.tell(if is_whole { Ok(()) } else { Err(HttpError::ConnectionTerminated) });
    }
}

/// Passes a response's body on, chunk by chunk, no faster than the guest reads, until it reads no more.
pub(super) async fn pass_on(mut source: Box<dyn BodySource>, sender: mpsc::Sender<Piece>) {
    // A place first: what is read has somewhere to go, and a guest that reads no more has its peer wait.
    while let Ok(place) = sender.reserve().await {
        let next = pin!(poll_fn(|cx| source.poll_chunk(cx)));
        match select(next, pin!(sender.closed())).await {
            Either::Left((Some(Ok(chunk)), _)) => place.send(Ok(Some(chunk))),
            Either::Left((Some(Err(error)), _)) => return place.send(Err(broken_off(error))),
            Either::Left((None, _)) => return place.send(Ok(None)),
            Either::Right(_) => return,
        }
    }
}

/// How a response's body broke off.
fn broken_off(error: BodyError) -> HttpError {
    match error {
        BodyError::Disconnected => HttpError::HttpResponseIncomplete,
        BodyError::TooLarge { limit } => HttpError::HttpResponseBodySize(Some(limit)),
        BodyError::TimedOut => HttpError::ConnectionReadTimeout,
        BodyError::Malformed(_) => HttpError::HttpProtocolError,
        BodyError::Aborted => HttpError::ConnectionTerminated,
        BodyError::Evicted => HttpError::InternalError(Some(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use http_body::Frame;
    use http_body_util::{BodyExt, StreamBody};
    use nexus_core::Limits;
    use nexus_guest::Watch;

    use super::*;
    use crate::account::WorkerMemory;

    type Frames = mpsc::UnboundedSender<Result<Frame<Bytes>, HttpError>>;

    /// A body of what is sent.
    fn body() -> (Frames, WasiBody) {
        let (sender, mut frames) = mpsc::unbounded_channel();
        let stream = futures_util::stream::poll_fn(move |cx| frames.poll_recv(cx));
        (sender, StreamBody::new(stream).boxed_unsync())
    }

    fn nothing() -> Arc<Held> {
        let memory = WorkerMemory::new(&Limits::default(), Arc::new(Watch::new()));
        Arc::new(Arc::new(memory).hold(0, "nothing").unwrap_or_else(|why| panic!("{why}")))
    }

    fn data(text: &'static str) -> Result<Frame<Bytes>, HttpError> {
        Ok(Frame::data(Bytes::from_static(text.as_bytes())))
    }

    fn now<T>(future: impl Future<Output = T>) -> Option<T> {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    fn next(body: &mut Body) -> Poll<Option<Result<Bytes, BodyError>>> {
        let Body::Stream(source) = body else { panic!("{body:?} is no stream") };
        source.poll_chunk(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn what_is_there_as_a_whole_is_sent_as_such() {
        let (frames, coming) = body();
        drop(frames);
        assert!(matches!(now(take(coming, None, nothing())).unwrap().body, Body::Empty));
        let (frames, coming) = body();
        for frame in [data("one"), data(""), data("two"), Ok(Frame::trailers(http::HeaderMap::new()))] {
            frames.send(frame).unwrap();
        }
        drop(frames);
        let taken = now(take(coming, None, nothing())).unwrap();
        assert!(matches!(taken.body, Body::Full(bytes) if bytes == "onetwo") && taken.sent.is_none());
    }

    #[test]
    fn what_comes_later_is_streamed_and_its_end_is_told() {
        let (frames, coming) = body();
        frames.send(data("one")).unwrap();
        let mut taken = now(take(coming, Some(6), nothing())).unwrap();
        assert_eq!(taken.body.exact_length(), Some(6));
        assert_eq!(next(&mut taken.body), Poll::Ready(Some(Ok("one".into()))));
        assert_eq!(next(&mut taken.body), Poll::Pending);
        frames.send(data("")).unwrap();
        frames.send(data("two")).unwrap();
        assert_eq!(next(&mut taken.body), Poll::Ready(Some(Ok("two".into()))));
        drop(frames);
        let mut sent = taken.sent.unwrap();
        assert!(sent.try_recv().is_err());
        assert_eq!((next(&mut taken.body), next(&mut taken.body)), (Poll::Ready(None), Poll::Ready(None)));
        assert!(sent.try_recv().unwrap().is_ok());
    }

    #[test]
    fn a_body_of_known_length_is_sent_once_its_last_byte_is_taken() {
        for (length, is_whole) in [(3, true), (4, false)] {
            let (frames, coming) = body();
            frames.send(data("one")).unwrap();
            let mut taken = now(take(coming, Some(length), nothing())).unwrap();
            assert_eq!(next(&mut taken.body), Poll::Ready(Some(Ok("one".into()))));
            drop(taken.body);
            assert_eq!(taken.sent.unwrap().try_recv().unwrap().is_ok(), is_whole);
        }
    }

    #[test]
    fn a_body_that_fails_does_not_look_complete() {
        let (frames, coming) = body();
        frames.send(data("one")).unwrap();
        frames.send(Err(HttpError::HttpRequestBodySize(Some(3)))).unwrap();
        drop(frames);
        let mut taken = now(take(coming, None, nothing())).unwrap();
        assert_eq!(next(&mut taken.body), Poll::Ready(Some(Ok("one".into()))));
        assert_eq!(next(&mut taken.body), Poll::Ready(Some(Err(BodyError::Aborted))));
        assert_eq!(next(&mut taken.body), Poll::Ready(None));
        assert!(matches!(taken.fault.take(), Some(HttpError::HttpRequestBodySize(Some(3)))));
        assert!(taken.sent.unwrap().try_recv().unwrap().is_err());
    }

    #[test]
    fn a_response_is_read_no_faster_than_the_guest_reads_and_no_longer() {
        let (writer, source) = nexus_guest::pipe(10, None);
        let Body::Stream(source) = source else { panic!("a pipe's body is a stream") };
        let (sender, mut chunks) = mpsc::channel(1);
        let mut passing = Box::pin(pass_on(source, sender));
        writer.write("0123456789".into());
        assert!(now(passing.as_mut()).is_none());
        writer.write("more to come".into());
        assert!(now(passing.as_mut()).is_none());
        assert_eq!(writer.state(), nexus_guest::PipeState::Full, "the first one was not read so far");
        assert_eq!(chunks.try_recv().unwrap().unwrap().unwrap(), "0123456789");
        assert!(now(passing.as_mut()).is_none());
        assert_eq!(writer.state(), nexus_guest::PipeState::Room);
        assert_eq!(chunks.try_recv().unwrap().unwrap().unwrap(), "more to come");
        assert!(now(passing.as_mut()).is_none());
        drop(chunks);
        assert!(now(passing.as_mut()).is_some());
        drop(passing);
        assert_eq!(writer.state(), nexus_guest::PipeState::Closed);
    }
}
