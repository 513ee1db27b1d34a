//! HTTP/2 connections, which many exchanges share.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::task::Poll;

use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use crate::place::{Place, Slot};
use crate::stream::Stream;
use crate::tasks::Tasks;
use crate::upload::Upload;

/// How much of one response may come without being read.
const STREAM_WINDOW: u32 = 256 << 10;

/// How much of all responses of a connection may come without being read.
const CONNECTION_WINDOW: u32 = 512 << 10;

/// How much of an upload is held that the peer has not taken yet.
const SEND_BUFFER: usize = 64 << 10;

/// How many streams there are until the peer has said how many there may be. More would be refused by some.
const UNTIL_TOLD: usize = 1;

/// How many times the limit a head may be for the protocol's part, which has no error of its own for it. What is
/// larger than the limit itself is refused when it is there.
const HEADERS: usize = 4;

/// A connection. Closed when nobody holds it any more: neither its place nor a stream.
pub(crate) struct H2 {
    sender: SendRequest<Upload>,
    streams: Cell<usize>,
    /// The most streams at once, as the peer has it.
    most: Rc<Cell<usize>>,
    used: Cell<bool>,
    pub(crate) opened: Instant,
    retired: Cell<bool>,
    /// Where it leads.
    address: IpAddr,
    /// Bytes that came over it so far.
    received: Rc<Cell<u64>>,
    /// Since when it is idle, if it is.
    since: Cell<Instant>,
    tasks: Tasks,
    place: Weak<Place>,
    _slot: Slot,
}

impl H2 {
    pub(crate) async fn start(
        stream: Stream,
        address: IpAddr,
        slot: Slot,
        place: Weak<Place>,
        headers: usize,
    ) -> Result<Rc<Self>, hyper::Error> {
        let tasks = Tasks::default();
        let received = stream.received();
        let made = Builder::new(tasks.clone())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BUFFER)
            .initial_max_send_streams(UNTIL_TOLD)
            .max_header_list_size(u32::try_from(headers.saturating_mul(HEADERS)).unwrap_or(u32::MAX))
            .handshake(TokioIo::new(stream))
            .await;
        let (sender, connection) = match made {
            Ok(made) => made,
            Err(error) => {
                tasks.abort();
                return Err(error);
            }
        };
        let most = Rc::new(Cell::new(connection.current_max_send_streams()));
        let (said, of, others) = (most.clone(), place.clone(), tasks.clone());
        tasks.spawn(async move {
            let mut connection = pin!(connection);
            poll_fn(|cx| {
                let polled = connection.as_mut().poll(cx);
                let now = connection.current_max_send_streams();
                if now == UNTIL_TOLD {
                    // It is another task that hears of it, and does not tell.
                    others.watch(cx);
                }
                if said.replace(now) < now
                    && let Some(place) = of.upgrade()
                {
                    place.wake();
                }
                if polled.is_ready() { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            // It takes no requests any more: the next one needs another connection.
            if let Some(place) = of.upgrade() {
                place.forget_closed();
            }
        });
        Ok(Rc::new(Self {
            sender,
            streams: Cell::new(0),
            most,
            used: Cell::new(false),
            opened: Instant::now(),
            retired: Cell::new(false),
            address,
            received,
            since: Cell::new(Instant::now()),
            tasks,
            place,
            _slot: slot,
        }))
    }

    /// Whether it takes requests, now or when one has ended.
    pub(crate) fn is_open(&self) -> bool {
        !self.retired.get() && !self.sender.is_closed()
    }

    pub(crate) fn has_room(&self) -> bool {
        self.streams.get() < self.most.get()
    }

    /// The number of exchanges that it has at the moment.
    pub(crate) fn streams(&self) -> usize {
        self.streams.get()
    }

    /// Since when it has none; `None` while it has some.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        (self.streams.get() == 0).then(|| self.since.get())
    }
}

impl Drop for H2 {
    fn drop(&mut self) {
        self.tasks.abort();
    }
}

/// A place for one exchange on a connection.
pub(crate) struct H2Stream {
    h2: Rc<H2>,
    /// Whether the connection had exchanges before this one.
    pub(crate) used: bool,
}

impl H2Stream {
    pub(crate) fn new(h2: &Rc<H2>) -> Self {
        h2.streams.set(h2.streams.get() + 1);
        Self { used: h2.used.replace(true), h2: h2.clone() }
    }

    pub(crate) fn sender(&self) -> SendRequest<Upload> {
        self.h2.sender.clone()
    }

    /// The number of bytes that come over the connection.
    pub(crate) fn received(&self) -> Rc<Cell<u64>> {
        self.h2.received.clone()
    }

    /// Where its connection leads.
    pub(crate) fn address(&self) -> IpAddr {
        self.h2.address
    }

    pub(crate) fn connection(&self) -> &Rc<H2> {
        &self.h2
    }

    /// Has the connection take no further requests: it ends with those that it has.
    pub(crate) fn retire(&self) {
        self.h2.retired.set(true);
        if let Some(place) = self.h2.place.upgrade() {
            place.forget_closed();
        }
    }
}

impl Drop for H2Stream {
    fn drop(&mut self) {
        self.h2.streams.set(self.h2.streams.get() - 1);
        self.h2.since.set(Instant::now());
        if let Some(place) = self.h2.place.upgrade() {
            place.idle_again();
        }
    }
}
