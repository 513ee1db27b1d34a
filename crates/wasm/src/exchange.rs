//! One request: an instance of its own, what it reads, what it answers.
//!
//! ```text
//! Request ─► http::Request ─► incoming-request ─► handle ─► response-outparam ─► Reply
//!    body ─► pump ─► Uploads                       │
//!                                                  └─► outgoing-body ─► Answer
//! ```
//!
//! With `concurrency` an instance is not the request's own: see `crate::room`.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{BodyExt, Empty, Full};
use nexus_core::Limit;
use nexus_guest::{Body, BodyError, BodySource, Failure, FailureKind, Request, RequestId, Responder};
use tokio::sync::{mpsc, oneshot};
use wasmtime::{PoolConcurrencyLimitError, Store};
use wasmtime_wasi_http::handler::Proxy;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::{Error as HttpError, WasiBody, WasiHttpView};

use crate::account::Account;
use crate::answer::{Answer, Given};
use crate::error::Ended;
use crate::output::Output;
use crate::service;
use crate::shared::{Lease, Shared};
use crate::state::State;
use crate::tail::Tail;

/// How often it is tried again to get a place for an instance, where the process has none left.
const RETRY: std::time::Duration = std::time::Duration::from_millis(2);

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
    shared.room(|| false).await?;
    let is_head = request.method == "HEAD";
    let (request, mut upload) = incoming(request)?;
    // Dropped last: what the request has sent ends with it, whatever its instance kept of it.
    let open = shared.post.open(Some(exchange.id), exchange.account.clone());
    let mut lease = shared.lease(&exchange, open.outgoing())?;
    let refused = lease.store.data().limiter.refused();
    let (give, given) = oneshot::channel();
    let mut call = Box::pin(call(&shared, &mut lease, request, give));
    let mut answer = Answer::new(given, is_head, &exchange);
    let mut tail = Tail::default();
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
                    let is_over = answer.is_sent() && tail.poll(exchange.account.tail_since(), cx).is_ready();
                    return if is_over { Poll::Ready(Err(End::Late)) } else { Poll::Pending };
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
        Err(End::Late) => {
            exchange.output.note(Tail::over());
            Ok(())
        }
        Err(End::Error(error)) => {
            // A command's way to end well is an exit with 0.
            if answer.is_sent()
                && error.downcast_ref::<wasmtime_wasi::I32Exit>().is_some_and(|exit| exit.0 == 0)
            {
                return Ok(());
            }
            Err(Ended::from(&error, refused.load(Ordering::Relaxed), &shared.services.limits))
        }
    }
}

/// How a call ended badly.
pub(crate) enum End {
    Ended(Ended),
    Error(wasmtime::Error),
    /// It has answered, and did not return in time.
    Late,
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
    give: oneshot::Sender<Given>,
) -> Result<(), End> {
    let store = &mut lease.store;
    let proxy = match &lease.proxy {
        Some(proxy) => proxy,
        None => lease.proxy.insert(instantiate(shared, store).await?),
    };
    match proxy {
        Proxy::P2(proxy) => {
            let scheme = match request.uri().scheme_str() {
                Some("https") => Scheme::Https,
                _ => Scheme::Http,
            };
            let mut view = store.data_mut().http();
            let request = view.new_incoming_request(scheme, request)?;
            let response = view.new_response_outparam_from_callback(move |result| {
                // Whoever asked may have left.
                let _ = give.send(result.map_err(|code| format!("{code:?}")));
            })?;
            proxy.wasi_http_incoming_handler().call_handle(&mut *store, request, response).await?;
        }
        Proxy::P3(service) => service::call(store, service, request, give).await?,
    }
    Ok(())
}

/// Makes an instance, as soon as the process has a place for it.
pub(crate) async fn instantiate(shared: &Shared, store: &mut Store<State>) -> Result<Proxy, End> {
    let since = Instant::now();
    loop {
        match shared.app.proxy.instantiate_async(&mut *store).await {
            Ok(proxy) => {
                shared.app.note_size(store.data().limiter.taken());
                return Ok(proxy);
            }
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
    }
}

pub(crate) type Pump = Pin<Box<dyn Future<Output = ()>>>;

/// The request as the guest gets it, and what passes its body on.
pub(crate) fn incoming(request: Request) -> Result<(http::Request<WasiBody>, Option<Pump>), Ended> {
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
            let upload = Upload::new(chunks, source.exact_length());
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

/// What passes from a pump to a guest: a chunk, or the end. A channel that ends without it was cut off.
pub(crate) type Piece = Result<Option<Bytes>, HttpError>;

/// Passes a body on that stays on this thread, chunk by chunk, no faster than the guest reads.
async fn pump(mut source: Box<dyn BodySource>, sender: mpsc::Sender<Piece>) {
    // A place first: what is read has somewhere to go, and a guest that reads no more has its client wait.
    while let Ok(place) = sender.reserve().await {
        match poll_fn(|cx| source.poll_chunk(cx)).await {
            Some(Ok(chunk)) => place.send(Ok(Some(chunk))),
            Some(Err(error)) => {
                place.send(Err(http_error(error)));
                return;
            }
            None => return place.send(Ok(None)),
        }
    }
}

fn http_error(error: BodyError) -> HttpError {
    match error {
        BodyError::Disconnected => HttpError::ConnectionTerminated,
        BodyError::TooLarge { limit } => HttpError::HttpRequestBodySize(Some(limit)),
        BodyError::TimedOut => HttpError::ConnectionReadTimeout,
        BodyError::Malformed(_) | BodyError::Aborted | BodyError::Evicted => HttpError::HttpProtocolError,
    }
}

/// A body for a guest that comes in chunks.
pub(crate) struct Upload {
    chunks: mpsc::Receiver<Piece>,
    remaining: Option<u64>,
    is_over: bool,
}

impl Upload {
    /// A body of this length, where that is known.
    pub(crate) fn new(chunks: mpsc::Receiver<Piece>, length: Option<u64>) -> Self {
        Self { chunks, remaining: length, is_over: false }
    }
}

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let Poll::Ready(piece) = self.chunks.poll_recv(cx) else { return Poll::Pending };
        let chunk = match piece.unwrap_or(Err(HttpError::ConnectionTerminated)) {
            Ok(Some(chunk)) => chunk,
            end => {
                self.is_over = true;
                return Poll::Ready(end.err().map(Err));
            }
        };
        if let Some(remaining) = &mut self.remaining {
            *remaining = remaining.saturating_sub(chunk.len() as u64);
        }
        Poll::Ready(Some(Ok(Frame::data(chunk))))
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
    fn an_upload_that_is_cut_off_does_not_look_complete() {
        let next = |upload: &mut Upload| {
            let mut cx = Context::from_waker(std::task::Waker::noop());
            let polled = Pin::new(upload).poll_frame(&mut cx);
            polled.map(|frame| frame.map(|frame| frame.map(|frame| frame.into_data().unwrap()).ok()))
        };
        for ends in [true, false] {
            let (sender, chunks) = mpsc::channel(2);
            let mut upload = Upload::new(chunks, Some(10));
            assert_eq!(next(&mut upload), Poll::Pending);
            sender.try_send(Ok(Some(Bytes::from_static(b"half")))).unwrap();
            assert_eq!(next(&mut upload), Poll::Ready(Some(Some(Bytes::from_static(b"half")))));
            if ends {
                sender.try_send(Ok(None)).unwrap();
            }
            drop(sender);
            assert_eq!(next(&mut upload), Poll::Ready(if ends { None } else { Some(None) }));
            assert_eq!(next(&mut upload), Poll::Ready(None));
        }
    }

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
