//! One request: an instance of its own, what it reads, what it answers.
//!
//! ```text
//! Request ─► http::Request ─► incoming-request ─► handle ─► response-outparam ─► Reply
//!    body ─► pump ─► Uploads                       │
//!                                                  └─► outgoing-body ─► gathered, or streamed: GuestBody
//! ```
//!
//! A response is sent as soon as the guest has to wait. Most guests do not, before their body is complete: then the
//! reply is whole, with its length, and nothing is chunked.

use std::cell::Cell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{BodyExt, Empty, Full};
use nexus_core::Limit;
use nexus_guest::{
    Body, BodyError, BodySource, Failure, FailureKind, HeaderList, Reply, Request, RequestId, Responder,
};
use tokio::sync::mpsc;
use wasmtime::PoolConcurrencyLimitError;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::{Error as HttpError, WasiBody, WasiHttpView};

use crate::account::Account;
use crate::error::Ended;
use crate::guest::{Lease, Shared};
use crate::output::Output;

/// So many bytes of a response's body are gathered at the most before it is sent.
const GATHERED: usize = 64 * 1024;
/// How often it is tried again to get a place for an instance, where the process has none left.
const RETRY: std::time::Duration = std::time::Duration::from_millis(2);

type Response = http::Response<WasiBody>;
type Slot = Arc<Mutex<Option<Result<Response, ErrorCode>>>>;

/// What the request's task and the host share.
pub(crate) struct Exchange {
    pub(crate) id: RequestId,
    pub(crate) responder: Responder,
    pub(crate) account: Arc<Account>,
    pub(crate) output: Arc<Output>,
    /// Set when the guest ends badly while its response is under way.
    pub(crate) broken: Rc<Cell<bool>>,
}

/// Handles a request in an instance of its own.
pub(crate) async fn handle(
    shared: Rc<Shared>,
    request: Request,
    exchange: Rc<Exchange>,
) -> Result<(), Ended> {
    shared.room().await?;
    let is_head = request.method == "HEAD";
    let (request, mut upload) = incoming(request)?;
    let mut lease = shared.lease(&exchange)?;
    let refused = lease.store.data().limiter.refused();
    let slot = Slot::default();
    let mut call = Box::pin(call(&shared, &mut lease, request, slot.clone()));
    let mut answer = Answer { slot, gathered: None, is_sent: false, is_head, exchange: &exchange };
    let ended = poll_fn(|cx| {
        if let Some(pump) = &mut upload
            && pump.as_mut().poll(cx).is_ready()
        {
            upload = None;
        }
        loop {
            let polled = call.as_mut().poll(cx);
            let has_moved = answer.advance(cx);
            match polled {
                Poll::Ready(result) => return Poll::Ready(result),
                Poll::Pending if has_moved => {}
                Poll::Pending => {
                    answer.send_what_is_there();
                    return Poll::Pending;
                }
            }
        }
    })
    .await;
    drop(call);
    match ended {
        Ok(()) => {
            shared.take_back(lease);
            answer.finish()
        }
        Err(End::Ended(ended)) => Err(ended),
        Err(End::Error(error)) => {
            // A command's way to end well is an exit with 0.
            if answer.is_sent
                && error.downcast_ref::<wasmtime_wasi::I32Exit>().is_some_and(|exit| exit.0 == 0)
            {
                return Ok(());
            }
            Err(Ended::from(&error, refused.load(Ordering::Relaxed), &shared.services.limits))
        }
    }
}

enum End {
    Ended(Ended),
    Error(wasmtime::Error),
}

impl From<wasmtime::Error> for End {
    fn from(error: wasmtime::Error) -> Self {
        End::Error(error)
    }
}

/// Makes the instance and calls its handler.
async fn call(
    shared: &Shared,
    lease: &mut Lease,
    request: http::Request<WasiBody>,
    slot: Slot,
) -> Result<(), End> {
    let store = &mut lease.store;
    let since = Instant::now();
    let proxy = loop {
        if let Some(proxy) = &lease.proxy {
            break proxy;
        }
        match shared.app.proxy.instantiate_async(&mut *store).await {
            Ok(proxy) => lease.proxy = Some(proxy),
            Err(error) if error.is::<PoolConcurrencyLimitError>() => {
                let limits = &shared.services.limits;
                if since.elapsed() >= limits.time(Limit::QueueWait) {
                    let limit = (Limit::QueueWait, limits.get(Limit::QueueWait));
                    return Err(End::Ended(Ended::Failed {
                        failure: Failure { kind: FailureKind::Overloaded, limit: Some(limit) },
                        message: "the process has no place for another instance".into(),
                        stack: None,
                    }));
                }
                tokio::time::sleep(RETRY).await;
            }
            Err(error) => return Err(error.into()),
        }
    };
    shared.app.note_size(store.data().limiter.taken());
    let scheme = match request.uri().scheme_str() {
        Some("https") => Scheme::Https,
        _ => Scheme::Http,
    };
    let mut view = store.data_mut().http();
    let request = view.new_incoming_request(scheme, request)?;
    let response = view.new_response_outparam_from_callback(move |result| {
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
    })?;
    proxy.wasi_http_incoming_handler().call_handle(&mut *store, request, response).await?;
    Ok(())
}

/// A response on its way.
struct Answer<'a> {
    slot: Slot,
    gathered: Option<Gathered>,
    is_sent: bool,
    is_head: bool,
    exchange: &'a Exchange,
}

/// A response whose body may be complete before anybody has to wait.
struct Gathered {
    head: http::response::Parts,
    body: WasiBody,
    chunks: VecDeque<Bytes>,
    bytes: usize,
}

impl Answer<'_> {
    /// Takes what the guest has given so far. Says whether the guest may have room for more now.
    fn advance(&mut self, cx: &mut Context<'_>) -> bool {
        if self.is_sent {
            return false;
        }
        if self.gathered.is_none() {
            let given = self.slot.lock().unwrap_or_else(PoisonError::into_inner).take();
            match given {
                None => return false,
                Some(Ok(response)) => {
                    let (head, body) = response.into_parts();
                    self.gathered = Some(Gathered { head, body, chunks: VecDeque::new(), bytes: 0 });
                }
                Some(Err(code)) => {
                    self.exchange.output.note(format!("the guest answered with an error: {code:?}"));
                    self.send(Err(FailureKind::Threw.into()));
                    return false;
                }
            }
        }
        let mut has_moved = false;
        while let Some(gathered) = &mut self.gathered {
            match Pin::new(&mut gathered.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    has_moved = true;
                    let Ok(chunk) = frame.into_data() else { continue };
                    gathered.bytes += chunk.len();
                    gathered.chunks.push_back(chunk);
                    if gathered.bytes >= GATHERED {
                        self.send_what_is_there();
                    }
                }
                Poll::Ready(Some(Err(_))) => {
                    self.gathered = None;
                    self.send(Err(FailureKind::Threw.into()));
                }
                Poll::Ready(None) => self.send_whole(),
                Poll::Pending => break,
            }
        }
        has_moved
    }

    /// The guest is done, or waits: whoever has answered is not held back.
    fn send_what_is_there(&mut self) {
        let Some(Gathered { head, body, chunks, .. }) = self.gathered.take() else { return };
        let length = length(&head.headers);
        let body = GuestBody { body, chunks, remaining: length, broken: self.exchange.broken.clone() };
        self.reply(head, Body::Stream(Box::new(body)));
    }

    fn send_whole(&mut self) {
        let Some(Gathered { mut head, chunks, bytes, .. }) = self.gathered.take() else { return };
        let body = match (self.is_head, bytes) {
            // Its length may be that of the body which GET would have.
            (true, _) => Body::Empty,
            (false, 0) => Body::Full(Bytes::new()),
            (false, _) => {
                head.headers.remove(CONTENT_LENGTH);
                Body::Full(joined(chunks, bytes))
            }
        };
        self.reply(head, body);
        self.exchange.account.begin_tail();
    }

    fn reply(&mut self, head: http::response::Parts, body: Body) {
        let status = head.status.as_u16();
        if !(200..600).contains(&status) {
            self.exchange.output.note(format!("the guest answered with status {status}, which is none"));
            return self.send(Err(FailureKind::NotAResponse.into()));
        }
        let mut headers = HeaderList::new();
        for (name, value) in &head.headers {
            headers.push(name.as_str().as_bytes(), value.as_bytes());
        }
        self.send(Ok(Reply { status, headers, body }));
    }

    fn send(&mut self, reply: Result<Reply, Failure>) {
        self.is_sent = true;
        self.exchange.responder.send(reply);
    }

    /// The guest has returned.
    fn finish(&mut self) -> Result<(), Ended> {
        self.send_what_is_there();
        match self.is_sent {
            true => Ok(()),
            false => Err(Ended::failed(
                FailureKind::NotAResponse,
                "the guest returned without setting its response-outparam",
            )),
        }
    }
}

fn joined(mut chunks: VecDeque<Bytes>, bytes: usize) -> Bytes {
    if chunks.len() == 1 {
        return chunks.pop_front().unwrap_or_default();
    }
    let mut whole = BytesMut::with_capacity(bytes);
    chunks.iter().for_each(|chunk| whole.extend_from_slice(chunk));
    whole.freeze()
}

fn length(headers: &http::HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A response's body as the guest writes it.
struct GuestBody {
    body: WasiBody,
    /// What was gathered before.
    chunks: VecDeque<Bytes>,
    remaining: Option<u64>,
    broken: Rc<Cell<bool>>,
}

impl BodySource for GuestBody {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        let chunk = loop {
            if let Some(chunk) = self.chunks.pop_front() {
                break chunk;
            }
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Pending => return Poll::Pending,
                // What a guest leaves behind that was stopped looks complete.
                Poll::Ready(None) if self.broken.take() => return Poll::Ready(Some(Err(BodyError::Aborted))),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(Some(Err(_))) => return Poll::Ready(Some(Err(BodyError::Aborted))),
                // Trailers are not passed on.
                Poll::Ready(Some(Ok(frame))) => self.chunks.extend(frame.into_data().ok()),
            }
        };
        if chunk.is_empty() {
            return self.poll_chunk(cx);
        }
        if let Some(remaining) = &mut self.remaining {
            *remaining = remaining.saturating_sub(chunk.len() as u64);
        }
        Poll::Ready(Some(Ok(chunk)))
    }

    fn exact_length(&self) -> Option<u64> {
        self.remaining
    }
}

type Pump = Pin<Box<dyn Future<Output = ()>>>;

/// The request as the guest gets it, and what passes its body on.
fn incoming(request: Request) -> Result<(http::Request<WasiBody>, Option<Pump>), Ended> {
    let bad =
        |what: &str| Ended::failed(FailureKind::Threw, format!("the request cannot be passed on: {what}"));
    let mut head = http::Request::new(());
    *head.method_mut() =
        http::Method::from_bytes(request.method.as_bytes()).map_err(|_| bad("its method"))?;
    *head.uri_mut() = uri(&request.url).ok_or_else(|| bad("its URL"))?;
    for (name, value) in request.headers.iter() {
        let name = http::HeaderName::from_bytes(name).map_err(|_| bad("a field's name"))?;
        let value = http::HeaderValue::from_bytes(value).map_err(|_| bad("a field's value"))?;
        head.headers_mut().append(name, value);
    }
    let (body, pump) = match request.body {
        Body::Empty => (Empty::new().map_err(|never| match never {}).boxed_unsync(), None),
        Body::Full(bytes) => (Full::new(bytes).map_err(|never| match never {}).boxed_unsync(), None),
        Body::Stream(source) => {
            let (sender, chunks) = mpsc::channel(1);
            let upload = Upload { chunks, remaining: source.exact_length() };
            (upload.boxed_unsync(), Some(Box::pin(pump(source, sender)) as Pump))
        }
    };
    Ok((head.map(|()| body), pump))
}

/// A URL that the host has made, as the `http` crate wants it: it takes no `<`, `>` and backtick.
fn uri(url: &str) -> Option<http::Uri> {
    if let Ok(uri) = url.parse() {
        return Some(uri);
    }
    let mut plain = String::with_capacity(url.len() + 16);
    for c in url.chars() {
        match c {
            '<' | '>' | '`' | '"' | '\\' | '^' | '{' | '|' | '}' | '\0'..=' ' | '\x7f' => {
                plain.push_str(&format!("%{:02X}", c as u32));
            }
            c => plain.push(c),
        }
    }
    plain.parse().ok()
}

/// Passes a body on that stays on this thread, chunk by chunk, no faster than the guest reads.
async fn pump(mut source: Box<dyn BodySource>, sender: mpsc::Sender<Result<Bytes, HttpError>>) {
    // A place first: what is read has somewhere to go, and a guest that reads no more has its client wait.
    while let Ok(place) = sender.reserve().await {
        match poll_fn(|cx| source.poll_chunk(cx)).await {
            Some(Ok(chunk)) => place.send(Ok(chunk)),
            Some(Err(error)) => {
                place.send(Err(http_error(error)));
                return;
            }
            None => return,
        }
    }
}

fn http_error(error: BodyError) -> HttpError {
    match error {
        BodyError::Disconnected => HttpError::ConnectionTerminated,
        BodyError::TooLarge { limit } => HttpError::HttpRequestBodySize(Some(limit)),
        BodyError::TimedOut => HttpError::ConnectionReadTimeout,
        BodyError::Malformed(_) | BodyError::Aborted => HttpError::HttpProtocolError,
    }
}

/// A request's body that comes in chunks.
struct Upload {
    chunks: mpsc::Receiver<Result<Bytes, HttpError>>,
    remaining: Option<u64>,
}

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let polled = self.chunks.poll_recv(cx);
        if let (Poll::Ready(Some(Ok(chunk))), Some(remaining)) = (&polled, &mut self.remaining) {
            *remaining = remaining.saturating_sub(chunk.len() as u64);
        }
        polled.map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        self.remaining.map(SizeHint::with_exact).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn urls_are_passed_on_with_what_the_http_crate_refuses_encoded() {
        assert_eq!(uri("http://a:80/x?y=1").unwrap().path_and_query().unwrap(), "/x?y=1");
        assert_eq!(uri("http://a/<`>").unwrap().path(), "/%3C%60%3E");
    }

    proptest! {
        #[test]
        fn any_url_that_the_standard_serialises_is_passed_on(path in "[!-~]{0,40}") {
            if let Ok(url) = url::Url::parse(&format!("http://host/{path}")) {
                prop_assert!(uri(url.as_str()).is_some(), "{url}");
            }
        }
    }
}
