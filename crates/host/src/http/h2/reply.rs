//! A reply as hyper sends it.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body::{Frame, SizeHint};
use nexus_guest::{Body, BodyError, BodySource, Reply, RequestId};
use tokio::time::Instant;

use super::super::timer::{Timer, within};
use super::super::{Call, Refusal, fields};
use super::body::Progress;
use super::connection::{Stream, Streams};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A whole body is handed over in pieces of this size, so that no more than one waits for the client.
const PIECE: usize = 16 * 1024;

/// The body of a response. Reports the end of its call when it is dropped.
pub(super) struct ReplyBody {
    source: Source,
    /// The declared bytes still to come.
    left: Option<u64>,
    call: Option<Call>,
    status: u16,
    sent: u64,
    is_complete: bool,
    stream: Stream,
    /// Minds the guest's stream; `None` where there is none.
    idle: Option<Idle>,
}

/// Tells when nothing of a request's and its response's body has moved for too long.
pub(super) struct Idle {
    timeout: Duration,
    timer: Timer,
    deadline: Option<Instant>,
    upload: Rc<Progress>,
    /// How far the request's body was when the deadline was set.
    received: u64,
}

impl Idle {
    pub(super) fn new(timeout: Duration, upload: Rc<Progress>) -> Self {
        Self { timeout, timer: Timer::default(), deadline: None, upload, received: 0 }
    }

    /// Ready if the guest was waited for for too long.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            // The guest may well read all of a body before it says more.
            let received = self.upload.received();
            if self.deadline.is_none() || received != self.received {
                self.received = received;
                self.deadline = Some(within(self.timeout));
            }
            ready!(self.timer.poll(self.deadline, cx));
            if self.upload.received() == self.received {
                return Poll::Ready(());
            }
        }
    }
}

enum Source {
    Nothing,
    Full(Bytes),
    Stream(Box<dyn BodySource>),
}

/// The response that passes `reply` on.
pub(super) fn respond(
    reply: Reply,
    call: Call,
    id: RequestId,
    is_head: bool,
    mut stream: Stream,
    idle: Idle,
) -> Response<ReplyBody> {
    let Reply { status, headers, body } = reply;
    // Interim and unknown statuses are none that a guest can end a request with.
    let status = if (200..=599).contains(&status) { status } else { 500 };
    let mut guests_length = None;
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let fields = response.headers_mut();
    for (name, value) in headers.iter() {
        if name == b"content-length" {
            guests_length = fields::content_length(value);
        } else if !fields::ends_at_the_connection(name)
            && let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            fields.append(name, value);
        }
    }
    if let Ok(id) = HeaderValue::from_bytes(id.as_bytes()) {
        fields.insert(REQUEST_ID, id);
    }
    let length = fields::response_length(status, is_head, &body, guests_length);
    if let Some(length) = length {
        fields.insert(CONTENT_LENGTH, length.into());
    }
    let source = match body {
        _ if is_head || fields::is_bodiless(status) => Source::Nothing,
        Body::Empty => Source::Nothing,
        Body::Full(bytes) if bytes.is_empty() => Source::Nothing,
        Body::Full(bytes) => Source::Full(bytes),
        Body::Stream(source) => Source::Stream(source),
    };
    let is_complete = matches!(source, Source::Nothing);
    if is_complete {
        stream.ends();
    }
    let call = Some(call);
    let idle = matches!(source, Source::Stream(_)).then_some(idle);
    response.map(|()| ReplyBody { source, left: length, call, status, sent: 0, is_complete, stream, idle })
}

/// The response to a request that is refused, before or after a guest has seen it. Gives the length of its body, too.
pub(super) fn refuse(refusal: &Refusal, id: RequestId, streams: &Rc<Streams>) -> (Response<ReplyBody>, u64) {
    let status = refusal.status();
    let text = Bytes::from(format!("{refusal}\n"));
    let length = text.len() as u64;
    let source = Source::Full(text);
    let mut stream = Stream::new(streams);
    // Whoever does not wait for it has been told all the same.
    stream.ends();
    let (left, call, idle) = (None, None, None);
    let body = ReplyBody { source, left, call, status, sent: 0, is_complete: false, stream, idle };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    if let Ok(text) = HeaderValue::from_bytes(fields::PLAIN_TEXT) {
        response.headers_mut().insert(CONTENT_TYPE, text);
    }
    if let Ok(id) = HeaderValue::from_bytes(id.as_bytes()) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response.headers_mut().insert(CONTENT_LENGTH, length.into());
    (response, length)
}

impl ReplyBody {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        match &mut self.source {
            Source::Nothing => Poll::Ready(None),
            Source::Full(bytes) => {
                let piece = bytes.split_to(bytes.len().min(PIECE));
                if bytes.is_empty() {
                    self.source = Source::Nothing;
                    self.is_complete = true;
                }
                Poll::Ready(Some(Ok(piece)))
            }
            Source::Stream(source) => {
                let chunk = ready!(source.poll_chunk(cx));
                // A declared length is kept: what is beyond or below it is a body that broke off.
                let end = match (&chunk, &mut self.left) {
                    (Some(Err(_)), _) => chunk,
                    (Some(Ok(bytes)), Some(left)) if bytes.len() as u64 > *left => {
                        Some(Err(BodyError::Aborted))
                    }
                    (Some(Ok(bytes)), left) => {
                        if let Some(left) = left {
                            *left -= bytes.len() as u64;
                        }
                        return Poll::Ready(chunk);
                    }
                    (None, Some(1..)) => Some(Err(BodyError::Aborted)),
                    (None, _) => {
                        self.is_complete = true;
                        None
                    }
                };
                self.source = Source::Nothing;
                Poll::Ready(end)
            }
        }
    }
}

impl ReplyBody {
    /// Waits for the guest, and not for ever.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(idle) = &mut self.idle else { return Poll::Pending };
        ready!(idle.poll(cx));
        self.source = Source::Nothing;
        self.idle = None;
        self.stream.ends();
        if let Some(call) = &mut self.call {
            call.has_stalled();
        }
        Poll::Ready(Some(Err(BodyError::TimedOut)))
    }
}

impl http_body::Body for ReplyBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.stream.asked();
        let Poll::Ready(chunk) = self.poll_chunk(cx) else { return self.poll_idle(cx) };
        if matches!(chunk, None | Some(Err(_))) || self.is_complete {
            self.stream.ends();
        }
        if let Some(idle) = &mut self.idle {
            idle.deadline = None;
        }
        if let Some(Ok(bytes)) = &chunk {
            self.sent += bytes.len() as u64;
            self.stream.gave();
        }
        Poll::Ready(chunk.map(|chunk| chunk.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.is_complete
    }

    /// Unknown to hyper: the `content-length` is set already where there is to be one.
    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

impl Drop for ReplyBody {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            call.finish(self.status, self.sent, self.is_complete);
        }
    }
}
