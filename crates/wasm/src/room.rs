//! Instances that serve several requests at once: services of WASI 0.3, where the manifest has `concurrency`.
//!
//! ```text
//! request's task ─► incoming ─► a seat ─┬─► Answer ─► reply
//!                                       │ given
//! room's task ─► run_concurrent ─► service::handle, one for each seat ─► ...
//! ```
//!
//! A room is one instance. Its task drives all of its calls, so their CPU time is told apart by the call that runs
//! whenever the guest is looked at; what is left of a turn is shared out evenly. A request that comes to its limit, or
//! traps, ends its room, and with it those that sit beside it: they share one memory.

mod accounts;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use futures_util::StreamExt;
use futures_util::future::{Either, select};
use futures_util::stream::FuturesUnordered;
use nexus_core::Limit;
use nexus_guest::{FailureKind, Request, RequestId};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use wasmtime::Store;
use wasmtime::component::Accessor;
use wasmtime_wasi_http::WasiBody;
use wasmtime_wasi_http::handler::Proxy;
use wasmtime_wasi_http::p3::bindings::Service;

pub(crate) use self::accounts::Accounts;
use self::accounts::Entry;
use crate::account::Account;
use crate::answer::{Answer, Given};
use crate::error::Ended;
use crate::exchange::{self, End, Exchange};
use crate::outgoing::{Open, Scope};
use crate::output::Output;
use crate::service;
use crate::shared::{Folders, Shared};
use crate::sockets::HasReach;
use crate::state::State;
use crate::tail::Tail;
use crate::tasks::Tasks;

/// What a request leaves with a room, to be handled there.
struct Seat {
    request: http::Request<WasiBody>,
    give: oneshot::Sender<Given>,
    /// Resolves when the request is not wanted any more.
    gone: oneshot::Receiver<()>,
    entry: Entry,
}

/// A request that sits in a room.
struct Guest {
    exchange: Rc<Exchange>,
    over: oneshot::Sender<Result<(), Ended>>,
}

/// An instance that serves several requests at once, as the others see it.
pub(crate) struct Room {
    /// Where requests are handed over; `None` once it takes no more.
    door: RefCell<Option<mpsc::UnboundedSender<(Seat, u64)>>>,
    /// How many it has taken.
    taken: Cell<u32>,
    present: RefCell<HashMap<u64, Guest>>,
    /// What its instance writes: nobody can tell for which request.
    pub(crate) output: Arc<Output>,
    accounts: Arc<Accounts>,
    /// What its instance sends: nobody can tell for which request.
    scope: Arc<Scope>,
    /// What its instance has open of the host's files.
    folders: Folders,
    /// Whether its instance has nothing to do.
    is_quiet: Cell<bool>,
    /// Whether a request was given up. Its call cannot be: the instance ends once nobody is present.
    is_left: Cell<bool>,
}

impl Room {
    /// An empty one, and where its task finds who comes.
    fn new(shared: &Shared) -> (Rc<Self>, Door) {
        let limits = &shared.services.limits;
        let (door, comers) = mpsc::unbounded_channel();
        let accounts = Arc::new(Accounts::new(Account::new(limits)));
        let open = shared.post.open(None, accounts.clone());
        let room = Self {
            door: RefCell::new(Some(door)),
            taken: Cell::new(0),
            present: RefCell::default(),
            output: Arc::new(Output::new(limits.get(Limit::Log))),
            accounts,
            scope: open.scope(),
            folders: shared.folders(),
            is_quiet: Cell::new(true),
            is_left: Cell::new(false),
        };
        (Rc::new(room), Door { comers, open })
    }

    /// Whether it takes one more.
    pub(crate) fn has_seat(&self, concurrency: usize) -> bool {
        self.door.borrow().is_some() && self.present.borrow().len() < concurrency
    }

    /// Whether its instance works for nobody who is present: after a response, say.
    pub(crate) fn has_tail(&self) -> bool {
        self.present.borrow().is_empty() && !self.is_quiet.get()
    }

    /// Those who are present.
    fn exchanges(&self) -> Vec<Rc<Exchange>> {
        self.present.borrow().values().map(|guest| guest.exchange.clone()).collect()
    }

    /// The request whose output it is, if there is but one.
    pub(crate) fn only_request(&self) -> Option<RequestId> {
        let present = self.present.borrow();
        let mut all = present.values();
        all.next().filter(|_| all.len() == 0).map(|guest| guest.exchange.id)
    }

    /// A turn of its task is over. Says whether the room must end.
    pub(crate) fn settle(&self, cpu: u64) -> bool {
        let present = self.exchanges();
        let is_beyond = self.accounts.settle(cpu, &present);
        for exchange in &present {
            exchange.responder.charge(exchange.account.take_unreported());
        }
        is_beyond
    }

    /// It has ended, well or badly: tells those who are present. Gives the request to blame and how it ended, if that
    /// one is not present any more.
    pub(crate) fn end(&self, ended: Option<Ended>) -> Option<(Option<RequestId>, Ended)> {
        *self.door.borrow_mut() = None;
        let mut present: Vec<(u64, Guest)> = self.present.borrow_mut().drain().collect();
        present.sort_by_key(|(number, _)| *number);
        let mut ended = ended?;
        let culprit = self.accounts.inner().culprit.clone().map(|entry| entry.request);
        let kind = ended.failure().kind;
        let beside = || Ended::failed(kind, "its instance has ended, with all requests that it served");
        // Who sits there longest, if nobody is known to have done it.
        let is_to_blame = |guest: &Guest| culprit.is_none_or(|culprit| guest.exchange.id == culprit);
        let to_blame = present.iter().position(|(_, guest)| is_to_blame(guest));
        let mut rest = None;
        if to_blame.is_none() {
            rest = Some((culprit, std::mem::replace(&mut ended, beside())));
        }
        for (_, guest) in &present {
            // Before the connections look: what is left behind of a response's body looks complete.
            guest.exchange.broken.set(true);
        }
        for (at, (_, guest)) in present.into_iter().enumerate() {
            let own = match Some(at) == to_blame {
                true => std::mem::replace(&mut ended, beside()),
                false => beside(),
            };
            // Its client may have left.
            let _ = guest.over.send(Err(own));
        }
        rest
    }
}

/// The rooms of a guest, and their tasks.
pub(crate) struct Rooms {
    rooms: RefCell<Vec<Rc<Room>>>,
    pub(crate) tasks: Tasks<Result<(), End>, Rc<Room>>,
    last: Cell<u64>,
}

impl Rooms {
    pub(crate) fn new() -> Self {
        Self { rooms: RefCell::default(), tasks: Tasks::new(), last: Cell::new(0) }
    }

    /// How many work for nobody who is present.
    pub(crate) fn tails(&self) -> usize {
        self.rooms.borrow().iter().filter(|room| room.has_tail()).count()
    }

    /// One with a seat, if there is one.
    fn open(&self, shared: &Shared) -> Option<Rc<Room>> {
        let rooms = self.rooms.borrow();
        // Folders are granted, and taken, from the next instance on: who is present stays.
        for room in rooms.iter().filter(|room| !shared.has_still(&room.folders)) {
            *room.door.borrow_mut() = None;
        }
        rooms.iter().find(|room| room.has_seat(shared.concurrency())).cloned()
    }

    /// One with a seat.
    fn with_seat(&self, shared: &Rc<Shared>) -> Rc<Room> {
        if let Some(room) = self.open(shared) {
            return room;
        }
        let number = self.last.get() + 1;
        self.last.set(number);
        let (room, door) = Room::new(shared);
        self.rooms.borrow_mut().push(room.clone());
        let work = room.clone().work(shared.clone(), door);
        self.tasks.start(number, self.tasks.make(number, work, room.clone()));
        room
    }

    /// A room has ended.
    pub(crate) fn remove(&self, room: &Rc<Room>) {
        self.rooms.borrow_mut().retain(|other| !Rc::ptr_eq(other, room));
    }

    /// All end: the host wants it.
    pub(crate) fn clear(&self) {
        self.tasks.take_all();
        self.rooms.borrow_mut().clear();
    }
}

/// Where a room's task finds who comes.
pub(crate) struct Door {
    comers: mpsc::UnboundedReceiver<(Seat, u64)>,
    /// What the room has sent ends with its task.
    open: Open,
}

/// Handles a request in a room.
pub(crate) async fn handle(
    shared: Rc<Shared>,
    rooms: Rc<Rooms>,
    request: Request,
    exchange: Rc<Exchange>,
) -> Result<(), Ended> {
    shared.room(|| rooms.open(&shared).is_some()).await?;
    let is_head = request.method == "HEAD";
    let (request, mut upload) = exchange::incoming(request)?;
    let (give, given) = oneshot::channel();
    let (over, mut is_over) = oneshot::channel();
    let (_here, gone) = oneshot::channel();
    let entry = Entry { account: exchange.account.clone(), request: exchange.id };
    let seat = Seat { request, give, gone, entry };
    let room = rooms.with_seat(&shared);
    room.seat(seat, Guest { exchange: exchange.clone(), over }, &shared);
    let mut answer = Answer::new(given, is_head, &exchange);
    let mut has_waited = false;
    let result = poll_fn(|cx| {
        if let Some(pump) = &mut upload
            && pump.as_mut().poll(cx).is_ready()
        {
            upload = None;
        }
        if answer.advance(cx) {
            has_waited = false;
        }
        if let Poll::Ready(result) = std::pin::Pin::new(&mut is_over).poll(cx) {
            return Poll::Ready(result);
        }
        if !std::mem::replace(&mut has_waited, true) {
            // The room may have more by then, so that it is sent in one piece.
            cx.waker().wake_by_ref();
        } else {
            answer.send_what_is_there();
        }
        Poll::Pending
    })
    .await;
    match result {
        Ok(Ok(())) => answer.finish(),
        Ok(Err(ended)) => Err(ended),
        Err(_) => Err(Ended::failed(FailureKind::Stopped, "its instance has ended")),
    }
}

impl Room {
    /// Takes a request in.
    fn seat(&self, seat: Seat, guest: Guest, shared: &Shared) {
        let number = self.taken.get();
        self.taken.set(number + 1);
        self.accounts.renew();
        self.output.refill(shared.services.limits.get(Limit::Log));
        let id = guest.exchange.id;
        self.present.borrow_mut().insert(u64::from(number), guest);
        self.scope.renew(id, self.present.borrow().len());
        self.scope.set_sender(self.only_request());
        let mut door = self.door.borrow_mut();
        if let Some(open) = &*door {
            // If its task has gone, the guest's end is told by that.
            let _ = open.send((seat, u64::from(number)));
        }
        if number + 1 >= shared.reuse() {
            *door = None;
        }
    }

    /// A request has its answer, or does not want it any more.
    fn leave(&self, number: u64) {
        let left = self.present.borrow_mut().remove(&number);
        if let Some(guest) = left {
            // What its call still does is its tail.
            self.accounts.leaves(&guest.exchange.account);
            guest.exchange.account.begin_tail();
            let _ = guest.over.send(Ok(()));
            self.scope.set_sender(self.only_request());
        }
    }

    /// The room's work, until it has served all that it is to serve.
    pub(crate) async fn work(self: Rc<Self>, shared: Rc<Shared>, door: Door) -> Result<(), End> {
        let mut store = shared
            .room_store(&self.output, self.accounts.clone(), door.open.outgoing(), &self.folders)
            .map_err(End::Ended)?;
        let made = exchange::instantiate(&shared, &mut store).await;
        let refused = store.data().limiter.refused();
        let ended = |end: End| match end {
            End::Error(error) => {
                let refused = refused.load(Ordering::Relaxed);
                End::Ended(Ended::from(&error, refused, &shared.services.limits))
            }
            end => end,
        };
        let Proxy::P3(service) = made.map_err(ended)? else {
            return Err(End::Ended(Ended::failed(
                FailureKind::Threw,
                "a service of WASI 0.2 serves one at a time",
            )));
        };
        match self.converse(&mut store, &service, door, shared.concurrency()).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(End::Late),
            Err(error) => Err(ended(End::Error(error))),
        }
    }

    /// Serves who comes. False if what goes on afterwards did not end in time.
    async fn converse(
        &self,
        store: &mut Store<State>,
        service: &Service,
        mut door: Door,
        concurrency: usize,
    ) -> wasmtime::Result<bool> {
        let calls = async |store: &Accessor<State>| {
            let mut calls = FuturesUnordered::new();
            let mut is_open = true;
            let (mut alone, mut tail) = (None, Tail::default());
            poll_fn(|cx| {
                loop {
                    match calls.poll_next_unpin(cx) {
                        Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                        Poll::Ready(Some(Ok(()))) => continue,
                        Poll::Ready(None) | Poll::Pending => {}
                    }
                    if is_open {
                        match door.comers.poll_recv(cx) {
                            Poll::Ready(Some((seat, number))) => {
                                calls.push(self.call(store, service, seat, number, concurrency));
                                continue;
                            }
                            Poll::Ready(None) => is_open = false,
                            Poll::Pending => {}
                        }
                    }
                    let is_quiet = calls.is_empty() && store.poll_no_interesting_tasks(cx).is_ready();
                    self.is_quiet.set(is_quiet);
                    if is_quiet && is_open && store.with(|mut access| access.data_mut().reach().open()) > 0 {
                        // Nobody is to hold sockets while nobody asks.
                        *self.door.borrow_mut() = None;
                        is_open = false;
                    }
                    let is_empty = is_quiet || self.is_left.get() && calls.is_empty();
                    if is_empty && !is_open {
                        return Poll::Ready(Ok(true));
                    }
                    let is_alone = self.has_tail();
                    alone = if is_alone { alone.or_else(|| Some(Instant::now())) } else { None };
                    if is_alone && tail.poll(alone, cx).is_ready() {
                        return Poll::Ready(Ok(false));
                    }
                    return Poll::Pending;
                }
            })
            .await
        };
        store.run_concurrent(calls).await?
    }

    /// One request, until it is answered or not wanted any more. Then the guest may go on with it, unseen.
    async fn call(
        &self,
        store: &Accessor<State>,
        service: &Service,
        seat: Seat,
        number: u64,
        concurrency: usize,
    ) -> wasmtime::Result<()> {
        let Seat { request, give, gone, entry } = seat;
        let begin = |call| self.accounts.begin(call, entry, concurrency);
        let handled = std::pin::pin!(service::handle(store, service, request, give, begin));
        let result = match select(handled, gone).await {
            Either::Left((result, _)) => result,
            Either::Right(_) => {
                self.is_left.set(true);
                *self.door.borrow_mut() = None;
                Ok(())
            }
        };
        if result.is_ok() {
            self.leave(number);
        }
        result
    }
}
