//! One HTTP/2 connection: hyper's, with our deadlines around it.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use nexus_guest::{Body, ClientAddress};
use tokio::time::Instant;

use super::super::conn_io::{Rewound, Socket};
use super::super::listener::Server;
use super::super::shutdown::Listening;
use super::super::timer::{Timer, within};
use super::super::{Refused, fields, forwarded};
use super::body::{Progress, RequestBody, unless_faulty};
use super::reply::{self, Idle, ReplyBody};
use super::request;

/// The flow control windows, in bytes: what a client may send of one body, and of all, before a guest reads.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// What hyper may buffer for one stream, in bytes.
const SEND_BUFFER: usize = 64 * 1024;

/// So many times the limit of a head is read: what is beyond the limit gets a response that names it, what is beyond
/// this, hyper's own, which has no text. (HTTP/2 counts 32 bytes a field besides its name and value.)
const HEAD_FACTOR: usize = 4;

/// A client that gives up so many streams within this time, and more than it lets be served, is closed: each has cost it
/// nearly nothing, and us a request.
const MAX_GIVEN_UP: u32 = 100;
const GIVEN_UP_WITHIN: Duration = Duration::from_secs(10);

/// Runs hyper's tasks on the connection's own thread.
#[derive(Clone)]
struct OnThisThread;

impl<F> hyper::rt::Executor<F> for OnThisThread
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, task: F) {
        tokio::task::spawn_local(task);
    }
}

/// What a connection knows of its streams.
pub(super) struct Streams {
    open: Cell<usize>,
    /// Streams whose last piece the client has not taken in, as far as is known.
    sending: Cell<usize>,
    /// When a client last took something in.
    taken: Cell<Instant>,
    /// How many streams the client has given up, and how many came to their end, since a while.
    given_up: Cell<u32>,
    ended: Cell<u32>,
    since: Cell<Instant>,
}

impl Streams {
    fn new() -> Rc<Self> {
        let now = Cell::new(Instant::now());
        Rc::new(Self {
            open: Cell::new(0),
            sending: Cell::new(0),
            taken: now.clone(),
            given_up: Cell::new(0),
            ended: Cell::new(0),
            since: now,
        })
    }

    fn gives_up(&self) {
        let now = Instant::now();
        if now - self.since.get() > GIVEN_UP_WITHIN {
            self.since.set(now);
            self.given_up.set(0);
            self.ended.set(0);
        }
        self.given_up.set(self.given_up.get() + 1);
    }

    /// Whether the client opens streams for nothing but to give them up.
    fn are_abused(&self) -> bool {
        self.given_up.get() > MAX_GIVEN_UP && self.given_up.get() > self.ended.get()
    }
}

/// One stream among a connection's [`Streams`].
pub(super) struct Stream {
    streams: Rc<Streams>,
    is_sending: bool,
    has_ended: bool,
}

impl Stream {
    pub(super) fn new(streams: &Rc<Streams>) -> Self {
        streams.open.set(streams.open.get() + 1);
        Self { streams: streams.clone(), is_sending: false, has_ended: false }
    }

    /// The stream comes to its end by the server, and not by the client.
    pub(super) fn ends(&mut self) {
        self.has_ended = true;
    }

    /// hyper asks for the next piece: there is room in the client's window.
    pub(super) fn asked(&mut self) {
        if std::mem::take(&mut self.is_sending) {
            self.streams.sending.set(self.streams.sending.get() - 1);
            self.streams.taken.set(Instant::now());
        }
    }

    /// A piece was given to hyper.
    pub(super) fn gave(&mut self) {
        if !std::mem::replace(&mut self.is_sending, true) {
            if self.streams.sending.get() == 0 {
                self.streams.taken.set(Instant::now());
            }
            self.streams.sending.set(self.streams.sending.get() + 1);
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.asked();
        match self.has_ended {
            true => self.streams.ended.set(self.streams.ended.get().saturating_add(1)),
            false => self.streams.gives_up(),
        }
        self.streams.open.set(self.streams.open.get() - 1);
    }
}

/// Serves HTTP/2 on `socket`, of which `read` was already read, until it is closed.
pub(in crate::http) async fn run(socket: Socket, read: Vec<u8>, peer: ClientAddress, server: Rc<Server>) {
    let config = &server.config;
    let streams = Streams::new();
    let service = {
        let (server, streams) = (server.clone(), streams.clone());
        service_fn(move |request| serve(request, peer, server.clone(), streams.clone()))
    };
    let mut builder = http2::Builder::new(OnThisThread);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(config.max_streams)
        .max_header_list_size(u32::try_from(HEAD_FACTOR * config.largest_head()).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(config.ping_interval)
        .keep_alive_timeout(config.ping_interval);
    let io = TokioIo::new(Rewound::new(socket, read));
    let mut connection = pin!(builder.serve_connection(io, service));

    let mut listening = Listening::new(&server.shutdown);
    let mut timer = Timer::default();
    let mut is_closing = false;
    let mut idle_deadline = Some(within(config.first_byte_timeout));
    poll_fn(|cx| {
        loop {
            if connection.as_mut().poll(cx).is_ready() || streams.are_abused() {
                return Poll::Ready(());
            }
            if !is_closing && listening.poll(cx).is_ready() {
                is_closing = true;
                idle_deadline = None;
                connection.as_mut().graceful_shutdown();
                continue;
            }
            let deadline = if streams.open.get() == 0 {
                let timeout = if is_closing { config.linger_timeout } else { config.idle_timeout };
                *idle_deadline.get_or_insert_with(|| within(timeout))
            } else {
                idle_deadline = None;
                // While nothing waits for the client, it is looked after by pings.
                let since = if streams.sending.get() > 0 { streams.taken.get() } else { Instant::now() };
                since + config.write_timeout
            };
            if timer.poll(Some(deadline), cx).is_pending() {
                return Poll::Pending;
            }
            if is_closing || streams.open.get() > 0 {
                // The client does not read, or not even the goodbye.
                return Poll::Ready(());
            }
            is_closing = true;
            idle_deadline = None;
            connection.as_mut().graceful_shutdown();
        }
    })
    .await;
}

/// Serves one stream.
async fn serve(
    request: Request<Incoming>,
    peer: ClientAddress,
    server: Rc<Server>,
    streams: Rc<Streams>,
) -> Result<Response<ReplyBody>, Infallible> {
    let mut stream = Stream::new(&streams);
    let config = &server.config;
    let (parts, incoming) = request.into_parts();
    let head = match request::read(&parts, config) {
        Ok(head) => head,
        Err(refusal) => {
            stream.ends();
            let id = request::id(&parts).unwrap_or_else(|| server.service.next_request_id());
            let (response, bytes) = reply::refuse(&refusal, id, &streams);
            let line = request::line(&parts);
            let client = match config.trust.includes(peer) {
                true => forwarded::client(peer, &config.trust, &request::headers(&parts, "")),
                false => peer,
            };
            // It goes out with what hyper has to send; whether all of it does, nobody is told.
            let duration = Duration::ZERO;
            let refused = Refused { refusal, id, client, line, duration, bytes, complete: true };
            server.service.refused(refused);
            return Ok(response);
        }
    };
    let mut url = head.url;
    let mut client = peer;
    if config.trust.includes(peer) {
        client = forwarded::client(peer, &config.trust, &head.headers);
        if forwarded::scheme(&head.headers) == Some("https") {
            url.insert("http".len(), 's');
        }
    }
    let limit = server.service.body_limit(&url).unwrap_or_else(|| config.body_limit());
    let progress = Rc::new(Progress::default());
    let body = if incoming.is_end_stream() {
        Body::Empty
    } else {
        let body = RequestBody::new(incoming, limit.most, limit.timeout, progress.clone());
        Body::Stream(Box::new(body))
    };
    let id = head.id.unwrap_or_else(|| server.service.next_request_id());
    let is_head = &*head.method == "HEAD";
    let mut call = server.service.clone().call(nexus_guest::Request {
        id,
        method: head.method,
        url,
        headers: head.headers,
        body,
        client,
        event: nexus_guest::Event::default(),
    });
    let reply = match call.try_take() {
        Some(reply) => reply,
        None => match unless_faulty(&progress, |cx| call.poll_reply(cx)).await {
            Ok(reply) => reply,
            Err(refusal) => {
                stream.ends();
                call.finish(refusal.status(), 0, false);
                return Ok(reply::refuse(&refusal, id, &streams).0);
            }
        },
    };
    let reply = reply.unwrap_or_else(|failure| fields::failure_reply(&failure));
    let idle = Idle::new(limit.timeout, progress);
    Ok(reply::respond(reply, call, id, is_head, stream, idle))
}
