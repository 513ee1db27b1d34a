//! The client of one guest.

use std::cell::{OnceCell, RefCell};
use std::net::IpAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use futures_util::future::{Either, LocalBoxFuture, select};
use http_body::Body as _;
use hyper::Response;
use hyper::body::Incoming;
use nexus_core::{App, Limit, Limits, NetDenied, NetHost, NetPolicy};
use nexus_guest::{
    Body, HttpClient, HttpError, NetSink, OutboundRequest, OutboundResponse, RequestId, SocketBudget,
};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_rustls::rustls::ClientConfig;

use crate::body::{self, Asked, Held};
use crate::dial::Patience;
use crate::evict::{Evicted, Wanted};
use crate::fault;
use crate::head::{self, Head};
use crate::outbound::Shared;
use crate::place::{Place, Taken};
use crate::pool::{Key, Pool};
use crate::resolve::{AT_ONCE, Resolver};
use crate::upload::{Upload, UploadState};

/// Sends a guest's requests. One is made for each guest that is loaded: where a worker keeps its guest, it has one for
/// all of its requests; with `isolation = "request"` each request has its own, with connections of its own. What it
/// needs beyond its app's limits is made at the first request.
pub(crate) struct Client(Rc<Inner>);

pub(crate) struct Inner {
    pub(crate) shared: Arc<Shared>,
    pub(crate) policy: NetPolicy,
    pub(crate) limits: Limits,
    pub(crate) sink: Rc<dyn NetSink>,
    pool: OnceCell<Rc<Pool>>,
    pub(crate) resolver: RefCell<Option<Rc<Resolver>>>,
    /// For each name that may be looked up at the same time.
    pub(crate) lookups: Semaphore,
    pub(crate) tls: OnceCell<Arc<ClientConfig>>,
}

/// A request that failed on its connection.
struct Failed {
    error: HttpError,
    /// The body, where nothing of the request was sent.
    unsent: Option<Upload>,
    /// Whether it may have failed because the connection had been idle, and nothing of a response came.
    stale: bool,
    /// Whether the peer said that it did nothing about it.
    refused: bool,
}

impl Client {
    pub(crate) fn new(shared: Arc<Shared>, app: &App, sink: Rc<dyn NetSink>) -> Self {
        Self(Rc::new(Inner {
            shared,
            policy: app.manifest.permissions.net.clone(),
            limits: app.manifest.limits,
            sink,
            pool: OnceCell::new(),
            resolver: RefCell::new(None),
            lookups: Semaphore::new(AT_ONCE),
            tls: OnceCell::new(),
        }))
    }
}

impl HttpClient for Client {
    fn send(&self, request: OutboundRequest) -> LocalBoxFuture<'static, Result<OutboundResponse, HttpError>> {
        let client = self.0.clone();
        Box::pin(async move {
            let mut sending = Sending(Some(&*client.sink));
            let result = client.send(request).await;
            if let Some(sink) = sending.0.take() {
                sink.sent(result.as_ref().err());
            }
            result
        })
    }

    fn look_up(&self, name: &str) -> LocalBoxFuture<'static, Result<Vec<IpAddr>, HttpError>> {
        let (client, name) = (self.0.clone(), name.to_owned());
        Box::pin(async move { client.find(&name).await })
    }

    fn sockets(&self) -> Arc<dyn SocketBudget> {
        self.0.sink.sockets()
    }
}

/// A request without an end so far.
struct Sending<'a>(Option<&'a dyn NetSink>);

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        if let Some(sink) = self.0.take() {
            sink.dropped();
        }
    }
}

impl Inner {
    fn pool(&self) -> &Rc<Pool> {
        self.pool.get_or_init(|| {
            let limit = self.limits.size(Limit::OutboundConnections);
            let sink = self.sink.clone();
            let warn = move |evicted: &Evicted| sink.warned(evicted.sender, &explain(evicted, limit));
            Rc::new(Pool::new(limit, Box::new(warn)))
        })
    }

    /// Tells of a connection that is not granted.
    pub(crate) fn denied(&self, sender: Option<RequestId>, denied: NetDenied) -> HttpError {
        self.sink.denied(sender, &denied);
        HttpError::Denied(denied)
    }

    async fn send(&self, mut request: OutboundRequest) -> Result<OutboundResponse, HttpError> {
        let (host, port) = (&request.host, request.port);
        if let Err(denied) = self.policy.decide(host, port, None) {
            return Err(self.denied(request.sender, denied));
        }
        let mut head = Some(Head::new(&request)?);
        let key = Key { secure: request.secure, host: host.clone(), port };
        let again = match &request.body {
            Body::Empty => Some(Body::Empty),
            Body::Full(bytes) => Some(Body::Full(bytes.clone())),
            Body::Stream(_) => None,
        };
        let patience =
            Patience::new(&self.limits, Limit::FirstByte, request.deadlines.first_byte, "first byte");
        // Waiting in the queue counts, connecting has a limit of its own.
        let mut deadline = Instant::now() + patience.time;
        let mut upload = Upload::new(std::mem::take(&mut request.body));
        let length = http_body::Body::size_hint(&upload).exact();
        let (mut fresh, mut again_sent) = (None, false);
        loop {
            let pool = self.pool();
            let place = pool.place(&key);
            let taken = timeout_at(deadline, place.take(pool, fresh)).await.map_err(|_| patience.error())?;
            let held = match taken {
                Taken::H1(h1) => {
                    // The event loop looks at its sockets before it goes on: a peer that has closed is noticed.
                    tokio::task::yield_now().await;
                    if h1.is_closed() || !self.may_still(host, port, h1.address) {
                        continue;
                    }
                    Held::H1(h1)
                }
                Taken::H2(stream) if !self.may_still(host, port, stream.address()) => {
                    // What others have under way on it goes on.
                    stream.retire();
                    continue;
                }
                Taken::H2(stream) => Held::H2(stream),
                Taken::Open(opening) => {
                    let began = Instant::now();
                    let held = Box::pin(self.open(&request, opening)).await?;
                    deadline += began.elapsed();
                    held
                }
            };
            let made = match head.take() {
                Some(head) => head,
                None => Head::again(&request, length)?,
            };
            let (idempotent, is_head) = (made.is_idempotent(), made.is_head());
            let state = upload.state();
            let sent = Box::pin(self.exchange(held, made, &request, upload, deadline, patience)).await;
            match sent {
                Ok((response, held)) => {
                    return self.respond(&mut request, response, held, state, is_head, place);
                }
                Err(failed) if again_sent => return Err(failed.error),
                Err(failed) => {
                    upload = match (failed.unsent, &again) {
                        (Some(unsent), _) if failed.stale => unsent,
                        (_, Some(body)) if failed.refused || (failed.stale && idempotent) => {
                            Upload::new(again_of(body))
                        }
                        _ => return Err(failed.error),
                    };
                    again_sent = true;
                    // A peer that refuses one stream may take the next on the same connection.
                    fresh = failed.stale.then(Instant::now);
                }
            }
        }
    }

    /// Whether a connection may be used again: what granted it may have been taken away since it was opened. If so, the
    /// next one is opened, or denied, as the first was.
    fn may_still(&self, host: &NetHost, port: u16, address: IpAddr) -> bool {
        self.policy.decide(host, port, Some(address)).is_ok()
    }

    /// Sends the request over a connection, and waits for the response's head.
    async fn exchange(
        &self,
        held: Held,
        head: Head,
        request: &OutboundRequest,
        upload: Upload,
        deadline: Instant,
        patience: Patience,
    ) -> Result<(Response<Incoming>, Held), Failed> {
        let state = upload.state();
        let (sent, held, received) = match held {
            Held::H1(mut h1) => {
                let sent = h1.sender.try_send_request(head.http1(upload));
                let received = h1.received.clone();
                (Either::Left(sent), Held::H1(h1), received)
            }
            Held::H2(stream) => {
                let message = match head.http2(head::wants_trailers(request), upload) {
                    Ok(message) => message,
                    Err(error) => return Err(Failed::plainly(error)),
                };
                let sent = stream.sender().try_send_request(message);
                let received = stream.received();
                (Either::Right(sent), Held::H2(stream), received)
            }
        };
        let before = received.get();
        let mut guard = Exchange { held: Some(held), upload: state.clone() };
        let mut sent = pin!(sent);
        let mut until = deadline;
        let mut error = loop {
            match select(sent.as_mut(), pin!(sleep_until(until))).await {
                Either::Left((Ok(response), _)) => {
                    return match guard.held.take() {
                        Some(held) => Ok((response, held)),
                        None => Err(Failed::plainly(HttpError::Closed)),
                    };
                }
                Either::Left((Err(error), _)) => break error,
                // As long as the connection takes something of the body, the response cannot be expected.
                Either::Right(_) => match state.moved().map(|moved| moved + patience.time) {
                    Some(later) if later > until => until = later,
                    _ => {
                        // Other requests would wait on it in vain as well.
                        if received.get() == before
                            && let Some(Held::H2(stream)) = &guard.held
                        {
                            stream.retire();
                        }
                        return Err(Failed::plainly(patience.error()));
                    }
                },
            }
        };
        let unsent = error.take_message().map(hyper::Request::into_body);
        let error = error.into_error();
        let (stale, refused) = match &guard.held {
            Some(Held::H1(h1)) => (h1.used && received.get() == before, false),
            Some(Held::H2(stream)) => {
                (stream.used && fault::is_of_connection(&error), fault::is_refused(&error))
            }
            None => (false, false),
        };
        let error = match state.failed() {
            Some(why) => return Err(Failed::plainly(HttpError::Body(why))),
            None => fault::of_head(&error, self.limits.get(Limit::OutboundHeaders)),
        };
        Err(Failed { error, unsent, stale, refused })
    }

    /// The response as the guest gets it.
    fn respond(
        &self,
        request: &mut OutboundRequest,
        response: Response<Incoming>,
        held: Held,
        upload: Rc<UploadState>,
        is_head: bool,
        place: Rc<Place>,
    ) -> Result<OutboundResponse, HttpError> {
        let (status, reason, headers) =
            match head::response(&response, self.limits.get(Limit::OutboundHeaders)) {
                Ok(head) => head,
                Err(error) => {
                    held.abandon(&upload);
                    return Err(error);
                }
            };
        let incoming = response.into_body();
        let bodiless = is_head || status == 204 || status == 304 || incoming.is_end_stream();
        let body = if bodiless {
            drop(incoming);
            held.release(&upload);
            Body::Empty
        } else {
            let limit = self.limits.time(Limit::Idle);
            body::body(body::Parts {
                incoming,
                held,
                upload,
                limit: self.limits.get(Limit::OutboundBody),
                idle: request.deadlines.idle.map_or(limit, |own| own.min(limit)),
                sender: request.sender,
                asked: Asked {
                    method: std::mem::take(&mut request.method),
                    place,
                    target: std::mem::take(&mut request.target),
                },
            })
        };
        Ok(OutboundResponse { status, reason, headers, body })
    }
}

/// An exchange without a response so far. Dropped, it is broken off.
struct Exchange {
    held: Option<Held>,
    upload: Rc<UploadState>,
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            held.abandon(&self.upload);
        }
    }
}

impl Failed {
    fn plainly(error: HttpError) -> Self {
        Self { error, unsent: None, stale: false, refused: false }
    }
}

fn again_of(body: &Body) -> Body {
    match body {
        Body::Full(bytes) => Body::Full(bytes.clone()),
        _ => Body::Empty,
    }
}

fn explain(evicted: &Evicted, limit: usize) -> String {
    let of_host = format!(" (limit: {} {limit})", Limit::OutboundConnections.key());
    let (what, limit) = match evicted.wanted {
        Wanted::Stream => ("a place on the connection to its host".to_owned(), of_host),
        Wanted::Connection(1) => ("the one connection to its host".to_owned(), of_host),
        Wanted::Connection(many) => (format!("one of the {many} connections to its host"), of_host),
        Wanted::Any(all) => (format!("one of the {all} connections that there may be in all"), String::new()),
    };
    format!(
        "the response of {} was cancelled: nobody read its body while other requests waited for {what}{limit}",
        evicted.asked
    )
}
