//! HTTP/1.1 connections.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, Sleep, sleep};

use crate::place::{Place, Slot};
use crate::stream::Stream;
use crate::tasks::Task;
use crate::upload::Upload;

/// The most fields that a response may have; their bytes have a limit of their own.
const FIELDS: usize = 256;

/// How much is read ahead of who reads a body, at most.
const BUFFER: usize = 64 << 10;

/// How long a connection may take to come to rest after an exchange.
const REST: Duration = Duration::from_secs(1);

/// A connection. When it is dropped, the event loop closes it next.
pub(crate) struct H1 {
    pub(crate) sender: SendRequest<Upload>,
    /// Bytes that came over it so far.
    pub(crate) received: Rc<Cell<u64>>,
    /// Whether it had an exchange before.
    pub(crate) used: bool,
    /// Where it leads.
    pub(crate) address: IpAddr,
    /// Since when it is idle.
    pub(crate) since: Instant,
    door: Weak<Door>,
    place: Weak<Place>,
    // Dropped in this order. Breaking the task off only has the event loop drop it, and close the connection, soon: the
    // place is free a little before, and for a moment there may be one connection more than the limit.
    _task: Task,
    _slot: Slot,
}

/// Where a connection is given back to its task, which waits until it is at rest.
struct Door {
    returned: RefCell<Option<H1>>,
    waker: RefCell<Option<Waker>>,
}

impl H1 {
    pub(crate) async fn start(
        stream: Stream,
        address: IpAddr,
        slot: Slot,
        place: Weak<Place>,
        headers: usize,
    ) -> Result<Self, hyper::Error> {
        let received = stream.received();
        let (sender, connection) = Builder::new()
            .max_headers(FIELDS)
            .max_header_size(headers)
            .max_buf_size(headers.max(BUFFER))
            // A line that begins with a space goes on with the one before (RFC 9112 section 5.2).
            .allow_obsolete_multiline_headers_in_responses(true)
            .handshake(TokioIo::new(stream))
            .await?;
        let door = Rc::new(Door { returned: RefCell::new(None), waker: RefCell::new(None) });
        let weak = Rc::downgrade(&door);
        let task = Task::spawn(drive(connection, door, place.clone()));
        let since = Instant::now();
        Ok(Self {
            sender,
            received,
            used: false,
            address,
            since,
            door: weak,
            place,
            _task: task,
            _slot: slot,
        })
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Gives it back after an exchange: to the idle ones if it is at rest, as it mostly is; else its task puts it there
    /// as soon as it is.
    pub(crate) fn give_back(mut self) {
        let Some(door) = self.door.upgrade() else { return };
        self.used = true;
        if self.sender.is_ready() {
            return self.rest();
        }
        *door.returned.borrow_mut() = Some(self);
        let waker = door.waker.borrow_mut().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Puts it to the idle ones.
    fn rest(mut self) {
        self.since = Instant::now();
        if let Some(place) = self.place.upgrade() {
            place.put(self);
        }
    }
}

/// Moves a connection's bytes, until it is closed.
async fn drive(connection: Connection<TokioIo<Stream>, Upload>, door: Rc<Door>, place: Weak<Place>) {
    let mut connection = pin!(connection);
    let mut patience: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|cx| {
        if connection.as_mut().poll(cx).is_ready() {
            // Taken out first, for it must not be dropped while it is borrowed.
            let returned = door.returned.borrow_mut().take();
            drop(returned);
            if let Some(place) = place.upgrade() {
                place.drop_closed();
            }
            return Poll::Ready(());
        }
        let returned = door.returned.borrow_mut().take();
        if let Some(h1) = returned
            && let Some(h1) = settle(h1, &mut patience, cx)
        {
            *door.returned.borrow_mut() = Some(h1);
        }
        *door.waker.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    })
    .await;
}

/// Puts a connection that was given back to the idle ones, or closes it; gives it back while neither can be.
fn settle(mut h1: H1, patience: &mut Option<Pin<Box<Sleep>>>, cx: &mut Context<'_>) -> Option<H1> {
    match h1.sender.poll_ready(cx) {
        Poll::Ready(Ok(())) => {
            *patience = None;
            h1.rest();
            None
        }
        Poll::Ready(Err(_)) => None,
        Poll::Pending => {
            let patience = patience.get_or_insert_with(|| Box::pin(sleep(REST)));
            patience.as_mut().poll(cx).is_pending().then_some(h1)
        }
    }
}
