//! The `http` capability: requests that guests send to others.
//!
//! ```text
//! guest ─ HttpClient::send(OutboundRequest) ─► provider ─ decides, connects ─► peer
//!       ◄── OutboundResponse: head, Body ─────
//! ```
//!
//! Redirects, decoding and all else that `fetch` adds are the engine's; the provider sends one request and gives its
//! response as it comes. Whoever drops the future, or the response's body, breaks the exchange off at once.

use std::fmt;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use nexus_core::{App, Limit, NetDenied, NetHost};

use crate::{Body, Capabilities, Denied, HeaderList, Method, RequestId};

/// Sends requests for the guests of one worker.
pub trait HttpClient {
    /// Sends a request. The future gives the response as soon as its head is there; the request's body may still be
    /// under way then, and goes on as long as the response's body is there.
    fn send(&self, request: OutboundRequest) -> LocalBoxFuture<'static, Result<OutboundResponse, HttpError>>;

    /// Looks a name up, for an engine whose guests connect by themselves: each address that the name has, as the provider
    /// finds it for its own requests. Whether the app may know is the caller's to decide, and whether it may connect to one
    /// of them. Whoever drops the future gives the look-up up.
    fn look_up(&self, name: &str) -> LocalBoxFuture<'static, Result<Vec<IpAddr>, HttpError>> {
        let error = HttpError::Name(format!("{name}: nobody looks names up here"));
        Box::pin(std::future::ready(Err(error)))
    }

    /// What counts the worker's sockets, for an engine whose guests open some by themselves.
    fn sockets(&self) -> Arc<dyn SocketBudget> {
        Arc::new(NoBudget)
    }
}

/// A request that a guest sends.
#[derive(Debug)]
pub struct OutboundRequest {
    /// The request in whose name it is sent; `None` while the app is loaded.
    pub sender: Option<RequestId>,
    /// How many apps have asked one another before it at least, where there is no sender to tell: of requests that share an
    /// instance, the most.
    pub depth: u8,
    /// The method.
    pub method: Method,
    /// Whether it is sent over TLS.
    pub secure: bool,
    /// The host, by name or by address.
    pub host: NetHost,
    /// The port.
    pub port: u16,
    /// The path and the query, as they are sent: begins with `/`, or is `*`.
    pub target: String,
    /// The header fields. Those that belong to the connection or to the framing (`host`, `content-length`,
    /// `transfer-encoding`, `connection`, …) are the provider's: it leaves out what is here of them.
    pub headers: HeaderList,
    /// The body.
    pub body: Body,
    /// Deadlines of the guest's own.
    pub deadlines: Deadlines,
}

/// How long a guest wants to wait; the app's limits hold all the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Deadlines {
    /// For the connection: see [`Limit::Connect`].
    pub connect: Option<Duration>,
    /// For the response's head: see [`Limit::FirstByte`].
    pub first_byte: Option<Duration>,
    /// Between two chunks of the response's body: see [`Limit::Idle`].
    pub idle: Option<Duration>,
}

/// The response to an [`OutboundRequest`].
#[derive(Debug)]
pub struct OutboundResponse {
    /// The status code, 200 to 599 (1xx are not told).
    pub status: u16,
    /// The reason phrase as it came, Latin-1; empty over HTTP/2.
    pub reason: Vec<u8>,
    /// The header fields, without those that end at the connection.
    pub headers: HeaderList,
    /// The body, as it came: neither decoded nor decompressed.
    pub body: Body,
}

/// Why there is no response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HttpError {
    /// The app may not connect there.
    Denied(NetDenied),
    /// The name has no address: it is unknown, or the name servers failed.
    Name(String),
    /// No connection came about: refused, unreachable.
    Connect(String),
    /// TLS could not be agreed on, or the certificate is not trusted.
    Tls(String),
    /// A limit of the app was reached, of this value (in milliseconds, bytes, or a count).
    Limit(Limit, u64),
    /// A deadline of the guest's own was over: which, in a word (`connect`, `first byte`).
    Deadline(&'static str),
    /// The peer closed the connection before it had sent the response's head.
    Closed,
    /// What the peer sent is no HTTP.
    Protocol(String),
    /// The request's body broke off: its producer failed.
    Body(String),
    /// The request itself cannot be sent: an invalid method, field or target.
    Invalid(String),
    /// The app may not call the other app that the request is for.
    NotGranted(Box<Denied>),
    /// As many apps have asked one another as may, of which this would be one more.
    TooDeep(u8),
}

impl HttpError {
    /// A short, stable code for it, in the manner of Node's: `ECONNREFUSED`, `ENOTFOUND`.
    pub fn code(&self) -> &'static str {
        match self {
            HttpError::Denied(_) | HttpError::NotGranted(_) => "EPERM",
            HttpError::Name(_) => "ENOTFOUND",
            HttpError::Connect(_) => "ECONNREFUSED",
            HttpError::Tls(_) => "ETLS",
            HttpError::Limit(Limit::Connect | Limit::FirstByte, _) | HttpError::Deadline(_) => "ETIMEDOUT",
            HttpError::Limit(..) => "ELIMIT",
            HttpError::Closed => "ECONNRESET",
            HttpError::Protocol(_) => "EPROTO",
            HttpError::Body(_) => "EBODY",
            HttpError::Invalid(_) => "EINVAL",
            HttpError::TooDeep(_) => "ELOOP",
        }
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HttpError::Denied(denied) => denied.fmt(f),
            HttpError::Name(what) => write!(f, "the host's name cannot be resolved: {what}"),
            HttpError::Connect(what) => write!(f, "no connection: {what}"),
            HttpError::Tls(what) => write!(f, "no secure connection: {what}"),
            HttpError::Limit(limit, value) => {
                let what = match limit {
                    Limit::Connect => "the connection took too long",
                    Limit::FirstByte => "the response took too long",
                    Limit::OutboundHeaders => "a head is too large",
                    Limit::Subrequests => "too many requests",
                    _ => "a limit was reached",
                };
                write!(f, "{what} (limit: {} {})", limit.key(), limit.show(*value))
            }
            HttpError::Deadline(which) => write!(f, "the request's own deadline is over: {which}"),
            HttpError::Closed => f.write_str("the peer closed the connection before its response"),
            HttpError::Protocol(what) => write!(f, "the peer's response is not HTTP: {what}"),
            HttpError::Body(what) => write!(f, "the request's body broke off: {what}"),
            HttpError::Invalid(what) => write!(f, "the request cannot be sent: {what}"),
            HttpError::NotGranted(denied) => denied.fmt(f),
            HttpError::TooDeep(most) => write!(f, "apps call one another more than {most} deep"),
        }
    }
}

impl std::error::Error for HttpError {}

/// Is told what a worker's connections to others come to. Lives on the worker's thread.
pub trait NetSink {
    /// A connection was denied, in the name of this request.
    fn denied(&self, request: Option<RequestId>, denied: &NetDenied);

    /// Something that the app's author should know, in one line.
    fn warned(&self, request: Option<RequestId>, message: &str);

    /// A request was sent and has ended: with a response's head, or with an error.
    fn sent(&self, error: Option<&HttpError>);

    /// A request was begun, and given up by who sent it before there was a response's head or an error.
    fn dropped(&self) {}

    /// What counts the worker's sockets. Without one they are not counted.
    fn sockets(&self) -> Arc<dyn SocketBudget> {
        Arc::new(NoBudget)
    }
}

/// A worker's part of the process's descriptors, for the sockets by which its guests connect to others. Any thread may
/// ask and tell: a socket is closed wherever its owner is dropped.
pub trait SocketBudget: Send + Sync {
    /// Whether there is a descriptor for one more socket. Asked before each is opened.
    fn may_open(&self) -> bool;

    /// A socket is opened, which takes a descriptor of the process's until [`SocketBudget::closed`].
    fn opened(&self);

    /// A socket was closed.
    fn closed(&self);

    /// A socket, or a look-up, was denied to a guest that connects by itself. Who tells its author is the engine.
    fn denied(&self) {}
}

/// A socket, counted until this is dropped.
pub struct CountedSocket(Arc<dyn SocketBudget>);

impl CountedSocket {
    /// Counts a socket that is about to be opened; `None` if there is no descriptor for it.
    pub fn open(budget: &Arc<dyn SocketBudget>) -> Option<Self> {
        budget.may_open().then(|| {
            budget.opened();
            Self(budget.clone())
        })
    }
}

impl Drop for CountedSocket {
    fn drop(&mut self) {
        self.0.closed();
    }
}

impl fmt::Debug for CountedSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CountedSocket").finish_non_exhaustive()
    }
}

/// Counts nothing.
struct NoBudget;

impl SocketBudget for NoBudget {
    fn may_open(&self) -> bool {
        true
    }

    fn opened(&self) {}

    fn closed(&self) {}
}

/// No capability at all: every request is denied. For guests of tests, and as a stand-in.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHttp;

impl HttpClient for NoHttp {
    fn send(&self, request: OutboundRequest) -> LocalBoxFuture<'static, Result<OutboundResponse, HttpError>> {
        let denied = NetDenied::new(request.host, request.port, None);
        Box::pin(std::future::ready(Err(HttpError::Denied(denied))))
    }
}

impl Capabilities for NoHttp {
    fn http(&self, _app: &App, _sink: Rc<dyn NetSink>) -> Rc<dyn HttpClient> {
        Rc::new(NoHttp)
    }
}
