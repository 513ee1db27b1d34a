//! From a connection's request to the guest, and what is kept of it meanwhile.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::future::{join, select};
use nexus_core::{App, Isolation, Limit};
use nexus_guest::{
    Body, Canceller, Failure, FailureKind, Guest, Level, LogRecord, LogSink, Request, RequestId, Responder,
    Ticket, exchange,
};
use slab::Slab;
use tokio::sync::Notify;

use super::deadlines::Deadlines;
use super::hold::Hold;
use super::queue::{Queue, Turn, Waiting};
use super::round::{Given, Round, WARY};
use super::underway::{Note, Notes};
use super::{Control, Panic, Worker};
use crate::assets::Assets;
use crate::front::Wakes;
use crate::http::{Call, CallOwner, Outcome, Refused, RequestIds, Service};
use crate::log::{AccessRecord, AppLog, Logger};
use crate::metrics::AppStats;

/// How often it is looked whether requests are still to be held back.
const HELD: Duration = Duration::from_millis(10);

/// A request in flight.
struct InFlight {
    start: Instant,
    /// Set once it is the guest's: which guest's, and that one's name for it.
    ticket: Option<(u64, Ticket)>,
    /// Set while it waits for a place.
    turn: Option<Turn>,
    /// Set when the answer was not there at once.
    canceller: Option<Canceller>,
    /// Distinguishes this request from an earlier one with the same key.
    serial: u64,
    id: RequestId,
    /// What is told of it when it is over.
    note: Arc<Note>,
}

/// Where a worker's guest is.
pub(super) enum Place {
    /// It is being loaded; requests wait for it.
    Loading,
    /// Here.
    Ready(Rc<dyn Guest>),
    /// It could not be loaded again; or the app has none.
    Absent,
    /// The process has no memory for it.
    NoMemory,
}

/// A poll of the guest that took so long had turns in which others should not wait for what they are asked.
const LONG_POLL: Duration = Duration::from_millis(1);

/// Serves a worker's connections with its guest.
pub(super) struct WorkerService {
    worker: Arc<Worker>,
    pub(super) app: Arc<App>,
    logger: Logger,
    log: AppLog,
    pub(super) stats: Arc<AppStats>,
    pub(super) access_log: bool,
    pub(super) place: RefCell<Place>,
    pub(super) assets: Option<Assets>,
    pub(super) deadlines: Deadlines,
    queue: Queue,
    hold: Hold,
    /// The guest's number among those that were in its place.
    generation: Cell<u64>,
    in_flight: RefCell<Slab<InFlight>>,
    notes: Notes,
    last_end: Cell<Option<Instant>>,
    /// Told when a request has left a guest that serves no other.
    left: Notify,
    round: Round,
    /// How many of the guest's next polls are taken for long.
    long_polls: Cell<u32>,
    /// Those on other threads who are to be woken.
    pub(super) wakes: Wakes,
    serial: Cell<u64>,
    ids: RequestIds,
}

impl WorkerService {
    pub(super) fn new(
        worker: Arc<Worker>,
        logger: Logger,
        access_log: bool,
        assets: Option<Assets>,
    ) -> io::Result<Self> {
        let app = worker.app.clone();
        Ok(Self {
            log: worker.underway.log().clone(),
            notes: Notes::new(worker.underway.clone()),
            queue: Queue::new(
                &app.manifest.limits,
                app.manifest.isolation == Isolation::Request,
                worker.waiting.clone(),
            ),
            stats: worker.stats.clone(),
            hold: Hold::new(worker.clone()),
            generation: Cell::new(0),
            app,
            logger,
            access_log,
            place: RefCell::new(Place::Loading),
            assets,
            deadlines: Deadlines::default(),
            in_flight: RefCell::new(Slab::new()),
            last_end: Cell::new(None),
            left: Notify::new(),
            round: Round::default(),
            long_polls: Cell::new(0),
            wakes: Wakes::default(),
            serial: Cell::new(0),
            ids: RequestIds::new()?,
            worker,
        })
    }

    /// Puts the worker's guest into its place. Those who waited for it follow.
    pub(super) fn guest_is(&self, place: Place) {
        self.generation.set(self.generation.get() + 1);
        let is_absent = matches!(place, Place::Absent | Place::NoMemory);
        let _before = std::mem::replace(&mut *self.place.borrow_mut(), place);
        self.hold.renew();
        self.queue.renew();
        if is_absent {
            for waiting in self.queue.take_all() {
                self.refuse_without_guest(&waiting.responder);
            }
        }
        self.queue.wake();
    }

    /// The worker ends: those who wait for a fresh one follow.
    pub(super) fn ends(&self) {
        self.hold.end();
        self.queue.wake();
    }

    /// Hands requests to the guest, round by round; never ends.
    pub(super) async fn serve_rounds(&self) {
        poll_fn(|cx| self.poll_round(cx)).await
    }

    fn poll_round(&self, cx: &Context<'_>) -> Poll<()> {
        while let Some(Given { request, responder, key, canceller }) = self.round.next(cx) {
            if self.find(key).is_none() {
                // Its client has gone.
                continue;
            }
            self.give(request, responder, key);
            let turn = canceller.cpu();
            if !canceller.is_answered() {
                // From now on its client is to be watched.
                canceller.wake();
                self.watch(key, canceller);
            }
            if self.round.is_long(turn) {
                // Behind those that write what was answered.
                cx.waker().wake_by_ref();
                break;
            }
        }
        Poll::Pending
    }

    /// Whether the guest's turns are long: what was answered is not to wait for the next one.
    pub(super) fn is_wary(&self) -> bool {
        self.round.is_wary()
    }

    /// The guest was polled, which took so long.
    pub(super) fn polled(&self, took: Duration) {
        self.long_polls.set(if took > LONG_POLL { WARY } else { self.long_polls.get().saturating_sub(1) });
    }

    /// Whether what the guest asks of others is not to wait until it was polled.
    pub(super) fn polls_long(&self) -> bool {
        self.long_polls.get() > 0
    }

    /// Hands a request to the guest, or has it wait for a place there.
    fn give(&self, request: Request, responder: Responder, key: u64) {
        let guest = match &*self.place.borrow() {
            Place::Ready(guest) if !self.hold.holds() && self.queue.enter() => guest.clone(),
            Place::Ready(_) | Place::Loading => return self.wait(request, responder, key),
            Place::Absent | Place::NoMemory => return self.refuse_without_guest(&responder),
        };
        self.hand_over(&guest, request, responder, key);
    }

    /// Hands a request to the guest, where a place was taken for it.
    fn hand_over(&self, guest: &Rc<dyn Guest>, request: Request, responder: Responder, key: u64) {
        let place = TakenPlace(&self.queue);
        let handed_over = catch_unwind(AssertUnwindSafe(|| guest.request(request, responder)));
        let ticket = match handed_over {
            Ok(ticket) => ticket,
            // So has the worker: what its guest is like now nobody knows.
            Err(panic) => return self.worker.command(Control::Panicked(Panic(panic))),
        };
        if let Some(request) = self.in_flight.borrow_mut().get_mut(slot(key)) {
            request.ticket = Some((self.generation.get(), ticket));
            // From here on it is given back when the request ends.
            std::mem::forget(place);
            return;
        }
        drop(place);
        self.look_whether_served();
    }

    fn wait(&self, request: Request, responder: Responder, key: u64) {
        let Some(slot) = self.find(key) else { return };
        let limits = &self.app.manifest.limits;
        let due = self.in_flight.borrow()[slot].start + limits.time(Limit::QueueWait);
        match self.queue.wait(Waiting { request, responder, key, due }) {
            Ok(turn) => self.in_flight.borrow_mut()[slot].turn = Some(turn),
            Err(refused) => {
                refused.responder.send(Err(self.at_limit(FailureKind::Overloaded, Limit::Queue)));
            }
        }
    }

    fn refuse_without_guest(&self, responder: &Responder) {
        let kind = match &*self.place.borrow() {
            // An app of static files only has no guest to miss.
            _ if self.app.main.is_none() => FailureKind::NotFound,
            Place::NoMemory => FailureKind::NoMemory,
            _ => FailureKind::Unavailable,
        };
        responder.send(Err(kind.into()));
    }

    /// Tells the guest that nobody waits for this request any more.
    fn abort(&self, ticket: Option<(u64, Ticket)>) {
        let Some((generation, ticket)) = ticket else { return };
        // A guest that came later knows nothing of it, and may have another request by that name.
        if generation != self.generation.get() {
            return;
        }
        let guest = match &*self.place.borrow() {
            Place::Ready(guest) => guest.clone(),
            Place::Loading | Place::Absent | Place::NoMemory => return,
        };
        guest.abort(ticket);
    }

    /// Has the request fail when its time is up, unless it has an answer by then.
    fn watch(&self, key: u64, canceller: Canceller) {
        let due = match self.in_flight.borrow_mut().get_mut(slot(key)) {
            Some(request) => {
                request.canceller = Some(canceller);
                request.start + self.app.manifest.limits.time(Limit::Wall)
            }
            None => return,
        };
        self.deadlines.add(due, key, |key| self.find(key).is_some());
    }

    /// Waits until the guest has served its one request, where each request has a guest of its own. `is_over` says
    /// whether the guest itself is done with it.
    pub(super) async fn served(&self, is_over: impl Fn() -> bool) {
        loop {
            if self.queue.is_spent() && is_over() {
                return;
            }
            self.left.notified().await;
        }
    }

    /// The guest may be done with its one request.
    pub(super) fn look_whether_served(&self) {
        if self.queue.is_spent() {
            self.left.notify_one();
        }
    }

    /// Whether any request is under way.
    pub(super) fn is_busy(&self) -> bool {
        !self.in_flight.borrow().is_empty()
    }

    /// How many requests have come so far.
    pub(super) fn count(&self) -> u64 {
        self.serial.get()
    }

    /// When the last request was over.
    pub(super) fn last_end(&self) -> Option<Instant> {
        self.last_end.get()
    }

    /// How many requests wait for a place in the guest, or for the guest.
    pub(super) fn waiting(&self) -> usize {
        self.queue.length()
    }

    /// Lets those that wait follow when there is a place, and fails those whose time is up; never ends.
    pub(super) async fn enforce_deadlines(&self) {
        join(self.enforce_wall(), self.serve_queue()).await;
    }

    async fn enforce_wall(&self) {
        loop {
            let serial = self.deadlines.next(|serial| self.find(serial).is_some()).await;
            let Some(key) = self.find(serial) else { continue };
            let (canceller, ticket, id) = match self.in_flight.borrow().get(key) {
                Some(request) => (request.canceller.clone(), request.ticket, request.id),
                None => continue,
            };
            if canceller
                .is_some_and(|canceller| canceller.fail(self.at_limit(FailureKind::TimedOut, Limit::Wall)))
            {
                let limit = self.app.manifest.limits.show(Limit::Wall);
                self.log(Some(id), Level::Warn, format!("no response within the wall limit of {limit}"));
                self.abort(ticket);
            }
        }
    }

    /// Hands the first that waits to the guest, if there is one and it has a place. Says whether that was so.
    fn admit_next(&self) -> bool {
        let guest = match &*self.place.borrow() {
            Place::Ready(guest) => guest.clone(),
            Place::Loading | Place::Absent | Place::NoMemory => return false,
        };
        if self.hold.holds() {
            return false;
        }
        let Some(Waiting { request, responder, key, .. }) = self.queue.admit() else { return false };
        match self.find(key) {
            Some(slot) if !responder.is_sent() => {
                self.in_flight.borrow_mut()[slot].turn = None;
                self.hand_over(&guest, request, responder, key);
            }
            // It was answered at its wall limit while it waited.
            _ => {
                self.queue.leave();
                self.look_whether_served();
            }
        }
        true
    }

    async fn serve_queue(&self) {
        loop {
            if self.admit_next() {
                // The connections have their turn, too.
                tokio::task::yield_now().await;
                continue;
            }
            let Some(due) = self.queue.next_due() else {
                self.queue.changed().await;
                continue;
            };
            let now = Instant::now();
            while let Some(waiting) = self.queue.overdue(now) {
                let failure = self.at_limit(FailureKind::Overloaded, Limit::QueueWait);
                waiting.responder.send(Err(failure));
            }
            if due > now {
                // Nobody tells when garbage is gone.
                let until = if self.hold.holds() { due.min(now + HELD) } else { due };
                let sleep = std::pin::pin!(tokio::time::sleep_until(until.into()));
                select(sleep, std::pin::pin!(self.queue.changed())).await;
            }
        }
    }

    /// A failure at one of the app's limits.
    fn at_limit(&self, kind: FailureKind, limit: Limit) -> Failure {
        Failure::at_limit(kind, limit, self.app.manifest.limits.get(limit))
    }

    /// The key of the request with this serial number, if it is in flight.
    fn find(&self, serial: u64) -> Option<usize> {
        // The slot is in the serial's lower half, so that no search is needed.
        let key = slot(serial);
        self.in_flight.borrow().get(key).filter(|request| request.serial == serial).map(|_| key)
    }

    pub(super) fn log(&self, request: Option<RequestId>, level: Level, message: String) {
        self.log.log(LogRecord { level, request, message, stack: None });
    }
}

/// A place that is given back when this is dropped: a guest may panic.
struct TakenPlace<'a>(&'a Queue);

impl Drop for TakenPlace<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// Serial numbers carry their request's slot in the lower half.
fn slot(serial: u64) -> usize {
    (serial & 0xffff_ffff) as usize
}

impl Service for WorkerService {
    fn call(self: Rc<Self>, request: Request) -> Call {
        let may_be_asset = self.assets.as_ref().is_some_and(|assets| assets.may_serve(&request));
        // A body that is still coming is for the connection to read on, beside the guest.
        let in_round = !may_be_asset && !matches!(request.body, Body::Stream(_));
        let start = if in_round { self.round.start() } else { Instant::now() };
        let (responder, pending) = exchange();
        let key = {
            let mut in_flight = self.in_flight.borrow_mut();
            let entry = in_flight.vacant_entry();
            let count = self.serial.get().wrapping_add(1);
            self.serial.set(count);
            let serial = (count << 32) | entry.key() as u64;
            let note = self.notes.begin(start, &request);
            entry.insert(InFlight {
                start,
                ticket: None,
                turn: None,
                canceller: None,
                serial,
                id: request.id,
                note,
            });
            serial
        };
        // It ends the request whatever happens from here on.
        let call = Call::new(pending, self.clone(), key);
        if may_be_asset {
            let service = self.clone();
            tokio::task::spawn_local(async move {
                let found = match &service.assets {
                    Some(assets) => assets.find(&request).await,
                    None => None,
                };
                match found {
                    Some(reply) => responder.send(Ok(reply)),
                    // Meanwhile its time may be up, or its client gone.
                    None if responder.is_sent() || service.find(key).is_none() => {}
                    None => service.give(request, responder, key),
                }
            });
        } else if in_round {
            // Whoever waits for it has nothing else to mind.
            let canceller = call.canceller();
            self.round.add(Given { request, responder, key, canceller });
            return call.in_round();
        } else {
            self.give(request, responder, key);
        }
        if !call.is_answered() {
            self.watch(key, call.canceller());
        }
        call
    }

    fn refused(&self, refused: Refused) {
        let Refused { refusal, id, client, line, duration, bytes, complete } = refused;
        self.stats.refused(refusal.status());
        let app = ("app", self.app.name().as_str().into());
        let fields = [app, ("client", client.to_string().into()), ("request_id", id.to_string().into())];
        self.logger.host(Level::Debug, format!("refused: {refusal}"), fields);
        if self.access_log {
            self.log.access(AccessRecord {
                request: id,
                client,
                method: line.method,
                path: line.path,
                status: Some(refusal.status()),
                complete,
                duration,
                cpu: Duration::ZERO,
                bytes,
            });
        }
    }

    fn next_request_id(&self) -> RequestId {
        self.ids.next()
    }

    fn accept_failed(&self, error: &io::Error) {
        self.logger.host(
            Level::Error,
            format!("cannot accept connections: {error}"),
            [("app", self.app.name().as_str().into())],
        );
    }
}

impl CallOwner for WorkerService {
    fn ended(&self, key: u64, outcome: Outcome) {
        let Some(request) = self.in_flight.borrow_mut().try_remove(slot(key)) else { return };
        if let Some(turn) = request.turn {
            self.queue.forget(turn);
        }
        if outcome.stalled {
            let limit = self.app.manifest.limits.show(Limit::Idle);
            let message = format!("no byte of the response's body within the idle limit of {limit}");
            self.log(Some(request.id), Level::Warn, message);
        }
        self.last_end.set(Some(outcome.at));
        let ticket = request.ticket;
        self.notes.end(request.note, request.start, request.id, outcome);
        if !outcome.complete {
            self.abort(ticket);
        }
        if ticket.is_some() {
            self.queue.leave();
            self.look_whether_served();
        }
    }
}
