//! From a connection's request to the guest, and what is kept of it meanwhile.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nexus_core::{App, Limit};
use nexus_guest::{
    Canceller, ClientAddress, Failure, FailureKind, Guest, Level, LogRecord, LogSink, PendingReply, Request,
    RequestId, Responder, Ticket, exchange,
};
use slab::Slab;

use super::deadlines::Deadlines;
use crate::assets::Assets;
use crate::http::{Call, CallOwner, Outcome, Refusal, Service};
use crate::log::{AccessRecord, AppLog, Logger};
use crate::metrics::AppStats;

/// How many requests wait for a guest that is being replaced, at most.
const MAX_WAITING: usize = 1000;

/// A request in flight.
struct InFlight {
    start: Instant,
    /// The guest's name for it, once it has it.
    ticket: Option<Ticket>,
    /// Set when the answer was not there at once.
    canceller: Option<Canceller>,
    /// Distinguishes this request from an earlier one with the same key.
    serial: u64,
    client: ClientAddress,
    id: RequestId,
    /// Method and path, kept for the access log only.
    line: Option<(Box<str>, String)>,
}

/// Where a worker's guest is.
pub(super) enum Place {
    /// It is being loaded; these requests wait for it.
    Loading(VecDeque<(Request, Responder, u64)>),
    /// Here.
    Ready(Rc<dyn Guest>),
    /// It could not be loaded again; or the app has none.
    Absent,
}

/// Serves a worker's connections with its guest.
pub(super) struct WorkerService {
    pub(super) app: Arc<App>,
    logger: Logger,
    log: AppLog,
    pub(super) stats: Arc<AppStats>,
    pub(super) access_log: bool,
    pub(super) place: RefCell<Place>,
    pub(super) assets: Option<Assets>,
    pub(super) deadlines: Deadlines,
    in_flight: RefCell<Slab<InFlight>>,
    serial: Cell<u64>,
    random: Cell<u128>,
}

impl WorkerService {
    pub(super) fn new(
        app: Arc<App>,
        number: u32,
        logger: Logger,
        stats: Arc<AppStats>,
        access_log: bool,
        assets: Option<Assets>,
    ) -> io::Result<Self> {
        let mut seed = [0; 16];
        rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty())?;
        Ok(Self {
            log: logger.app(app.name().as_str(), Some(number)),
            app,
            logger,
            stats,
            access_log,
            place: RefCell::new(Place::Loading(VecDeque::new())),
            assets,
            deadlines: Deadlines::default(),
            in_flight: RefCell::new(Slab::new()),
            serial: Cell::new(0),
            random: Cell::new(u128::from_ne_bytes(seed)),
        })
    }

    /// Puts the worker's guest into its place and hands over the requests that waited for it.
    pub(super) fn guest_is(&self, place: Place) {
        let before = std::mem::replace(&mut *self.place.borrow_mut(), place);
        if let Place::Loading(waiting) = before {
            for (request, responder, key) in waiting {
                self.give(request, responder, key);
            }
        }
    }

    /// Hands a request to the guest, or has it wait for one.
    fn give(&self, request: Request, responder: Responder, key: u64) {
        // It may have waited: for the guest, or for a look at the assets.
        if responder.is_sent() || self.find(key).is_none() {
            return;
        }
        let guest = match &mut *self.place.borrow_mut() {
            Place::Ready(guest) => guest.clone(),
            Place::Loading(waiting) if waiting.len() < MAX_WAITING => {
                waiting.push_back((request, responder, key));
                return;
            }
            Place::Loading(_) | Place::Absent => {
                // An app of static files only has no guest to miss.
                let kind =
                    if self.app.main.is_some() { FailureKind::Unavailable } else { FailureKind::NotFound };
                responder.send(Err(kind.into()));
                return;
            }
        };
        let ticket = guest.request(request, responder);
        if let Some(request) = self.in_flight.borrow_mut().get_mut(slot(key)) {
            request.ticket = Some(ticket);
        }
    }

    /// Tells the guest that nobody waits for this request any more.
    fn abort(&self, ticket: Option<Ticket>) {
        if let (Place::Ready(guest), Some(ticket)) = (&*self.place.borrow(), ticket) {
            guest.abort(ticket);
        }
    }

    /// Has the request fail when its time is up, unless it has an answer by then.
    fn watch(&self, key: u64, pending: &PendingReply, timeout: Duration) {
        let mut in_flight = self.in_flight.borrow_mut();
        if let Some(request) = in_flight.get_mut(slot(key)) {
            request.canceller = Some(pending.canceller());
            self.deadlines.add(request.start + timeout, request.serial);
        }
    }

    /// Fails the requests whose time is up; never ends.
    pub(super) async fn enforce_deadlines(&self) {
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

/// Serial numbers carry their request's slot in the lower half.
fn slot(serial: u64) -> usize {
    (serial & 0xffff_ffff) as usize
}

impl Service for WorkerService {
    fn call(self: Rc<Self>, request: Request) -> Call {
        let start = Instant::now();
        let (responder, pending) = exchange();
        let key = {
            let mut in_flight = self.in_flight.borrow_mut();
            let entry = in_flight.vacant_entry();
            let count = self.serial.get().wrapping_add(1);
            self.serial.set(count);
            let serial = (count << 32) | entry.key() as u64;
            let line = self.access_log.then(|| (request.method.clone(), path_of(&request.url).to_owned()));
            entry.insert(InFlight {
                start,
                ticket: None,
                canceller: None,
                serial,
                client: request.client,
                id: request.id,
                line,
            });
            serial
        };
        let may_be_asset = self.assets.as_ref().is_some_and(|assets| assets.may_serve(&request));
        if may_be_asset {
            let service = self.clone();
            tokio::task::spawn_local(async move {
                let found = match &service.assets {
                    Some(assets) => assets.find(&request).await,
                    None => None,
                };
                match found {
                    Some(reply) => responder.send(Ok(reply)),
                    None => service.give(request, responder, key),
                }
            });
        } else {
            self.give(request, responder, key);
        }
        if !pending.is_answered() {
            self.watch(key, &pending, self.app.manifest.limits.time(Limit::Wall));
        }
        Call::new(pending, self, key)
    }

    fn refused(&self, refusal: &Refusal, client: ClientAddress) {
        self.stats.refused(refusal.status());
        self.logger.host(
            Level::Debug,
            format!("refused: {refusal}"),
            [("app", self.app.name().as_str().into()), ("client", client.to_string().into())],
        );
    }

    fn next_request_id(&self) -> RequestId {
        // A linear congruential generator with 128 bits of state, output by its upper half twice: unique for sure, not
        // secret, and without a system call.
        const MULTIPLIER: u128 = 0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645;
        let next = self
            .random
            .get()
            .wrapping_mul(MULTIPLIER)
            .wrapping_add(0x5851_f42d_4c95_7f2d_1405_7b7e_f767_814f);
        self.random.set(next);
        RequestId::from_u128(next ^ (next >> 64))
    }

    fn accept_failed(&self, error: &io::Error) {
        self.logger.host(
            Level::Error,
            format!("cannot accept connections: {error}"),
            [("app", self.app.name().as_str().into())],
        );
    }
}

fn path_of(url: &str) -> &str {
    let after_scheme = url.find("://").map_or(0, |at| at + 3);
    url[after_scheme..].find('/').map_or("/", |at| &url[after_scheme + at..])
}

impl CallOwner for WorkerService {
    fn ended(&self, key: u64, outcome: Outcome) {
        let Some(request) = self.in_flight.borrow_mut().try_remove(slot(key)) else { return };
        let duration = request.start.elapsed();
        self.stats.ended(outcome.status, duration, outcome.bytes_sent, outcome.cpu, outcome.complete);
        if !outcome.complete {
            self.abort(request.ticket);
        }
        if let Some((method, path)) = request.line {
            self.log.access(AccessRecord {
                request: request.id,
                client: request.client,
                method,
                path,
                status: outcome.status,
                complete: outcome.complete,
                duration,
                cpu: outcome.cpu,
                bytes: outcome.bytes_sent,
            });
        }
    }
}
