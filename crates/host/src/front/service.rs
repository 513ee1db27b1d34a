//! What answers the requests of a shared port on one I/O thread: it finds the app, and passes request and answer on.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::fmt::Display;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use nexus_core::{Limit, Limits, NoRoute, Router};
use nexus_guest::{
    Body, Failure, FailureKind, HeaderList, Level, Reply, Request, RequestId, Responder, exchange,
};
use slab::Slab;
use tokio::sync::Notify;

use super::mail::Put;
use super::parcel::{Answer, Asker, Parcel, Returns, SentRequest};
use super::stream::{Patience, SentBody};
use super::wakes::Wakes;
use crate::crew::Entry;
use crate::http::{BodyLimit, Call, CallOwner, Outcome, Refusal, Refused, RequestIds, Service};
use crate::log::Logger;
use crate::worker::Event;

/// How often it is looked whether requests have waited for too long.
pub(crate) const LOOK: Duration = Duration::from_millis(100);
/// A request that its worker has not failed so long after its wall limit is failed without it.
const LATER: Duration = Duration::from_millis(500);

/// The apps of a shared port.
#[derive(Default)]
pub(crate) struct Shared {
    router: RwLock<Arc<Router<Arc<Entry>>>>,
}

impl Shared {
    /// From now on requests are routed by this.
    pub(crate) fn route(&self, router: Router<Arc<Entry>>) {
        *self.router.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(router);
    }

    fn router(&self) -> Arc<Router<Arc<Entry>>> {
        self.router.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A request that waits for its answer.
struct Waiting {
    responder: Responder,
    parcel: Arc<Parcel>,
    deadlines: Deadlines,
    entry: Arc<Entry>,
    /// Distinguishes it from an earlier one with the same key.
    serial: u32,
}

/// Until when a request may wait, in its app's limits.
#[derive(Debug)]
pub(crate) struct Deadlines {
    since: Instant,
    queue_wait: u64,
    wall: u64,
}

impl Deadlines {
    /// Those of a request that comes now.
    pub(crate) fn new(limits: &Limits) -> Self {
        let (queue_wait, wall) = (limits.get(Limit::QueueWait), limits.get(Limit::Wall));
        Self { since: Instant::now(), queue_wait, wall }
    }

    /// How the request fails by now, if it does.
    pub(crate) fn failure(&self, now: Instant, waits: bool) -> Option<Failure> {
        if waits && now >= self.since + Duration::from_millis(self.queue_wait) {
            return Some(Failure::at_limit(FailureKind::Overloaded, Limit::QueueWait, self.queue_wait));
        }
        // A worker looks at it itself, from when it was given the request.
        let is_late = now >= self.since + Duration::from_millis(self.wall) + LATER;
        is_late.then(|| Failure::at_limit(FailureKind::TimedOut, Limit::Wall, self.wall))
    }
}

pub(super) struct FrontService {
    shared: Arc<Shared>,
    waiting: RefCell<Slab<Waiting>>,
    /// Told when one is there.
    some_wait: Notify,
    serial: Cell<u32>,
    returns: Arc<Returns>,
    /// Workers that have got something.
    wakes: Wakes,
    ids: RequestIds,
    logger: Logger,
}

impl FrontService {
    pub(super) fn new(shared: Arc<Shared>, logger: Logger) -> io::Result<Self> {
        Ok(Self {
            shared,
            waiting: RefCell::default(),
            some_wait: Notify::new(),
            serial: Cell::new(0),
            returns: Arc::default(),
            wakes: Wakes::default(),
            ids: RequestIds::new()?,
            logger,
        })
    }

    /// Wakes the workers that have got something; never ends.
    pub(super) async fn wake_workers(&self) -> Infallible {
        poll_fn(|cx| self.wakes.poll_give(cx)).await
    }

    /// Hands answers to the connections that wait for them; never ends.
    pub(super) async fn take_returns(&self) {
        let mut taken = Vec::new();
        loop {
            poll_fn(|cx| self.returns.poll_take(&mut taken, cx)).await;
            for (key, answer) in taken.drain(..) {
                self.returned(key, answer);
            }
            // The connections have their turn, too.
            tokio::task::yield_now().await;
        }
    }

    /// Fails the requests whose time is up; never ends.
    pub(super) async fn enforce_deadlines(&self) {
        loop {
            if self.waiting.borrow().is_empty() {
                self.some_wait.notified().await;
            }
            tokio::time::sleep(LOOK).await;
            // A worker may be in a long turn, or lost, before it wakes whom it has answered.
            self.returns.look();
            let now = Instant::now();
            for (_, waiting) in &*self.waiting.borrow() {
                let Waiting { parcel, deadlines, entry, .. } = waiting;
                if parcel.is_answered() {
                    continue;
                }
                if let Some(failure) = deadlines.failure(now, parcel.waits()) {
                    entry.start().interventions.unserved();
                    parcel.fail(failure);
                    // Whoever has it by now gives it up.
                    parcel.cancel();
                }
            }
        }
    }

    fn returned(&self, key: u64, answer: Answer) {
        let waiting = self.waiting.borrow();
        // Its client may have gone.
        if let Some(waiting) = waiting.get(slot(key)).filter(|waiting| waiting.serial == serial(key)) {
            waiting.responder.send(answer.map(|reply| reply.into_reply()));
        }
    }

    /// The app that this URL is for.
    fn find<'a>(&self, router: &'a Router<Arc<Entry>>, url: &str) -> Result<&'a Arc<Entry>, NoRoute> {
        let (host, path) = host_and_path(url);
        router.lookup(host, path)
    }
}

/// Slots are in a key's lower half, so that no search is needed.
fn slot(key: u64) -> usize {
    (key & 0xffff_ffff) as usize
}

fn serial(key: u64) -> u32 {
    (key >> 32) as u32
}

/// The host, with its port, and the path, without the query, of an absolute URL.
fn host_and_path(url: &str) -> (&str, &str) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    (host, path.split('?').next().unwrap_or_default())
}

/// The reply to a request that is refused for what it is.
pub(crate) fn refusal(status: u16, text: impl Display) -> Reply {
    let headers =
        HeaderList::from_iter([("content-type", "text/plain;charset=utf-8"), ("cache-control", "no-store")]);
    Reply { status, headers, body: Body::Full(format!("{text}\n").into()) }
}

/// Why a request's head is too large for its app, if it is. What is too large for all was refused before.
pub(crate) fn too_large(method: &str, url: &str, headers: &HeaderList, limits: &Limits) -> Option<Refusal> {
    // What stands around a field, and around the request's first line.
    const FIELD: usize = ": \r\n".len();
    const LINE: usize = "  HTTP/1.1\r\n\r\n".len();
    let target = url.splitn(4, '/').nth(3).map_or(0, |rest| rest.len() + 1);
    if target > limits.size(Limit::Url) {
        return Some(Refusal::UrlTooLong(limits.size(Limit::Url)));
    }
    let fields: usize = headers.iter().map(|(name, value)| name.len() + value.len() + FIELD).sum();
    let head = fields + target + method.len() + LINE;
    (head > limits.size(Limit::Headers)).then(|| Refusal::HeadTooLarge(limits.size(Limit::Headers)))
}

impl Service for FrontService {
    fn call(self: Rc<Self>, request: Request) -> Call {
        let (responder, pending) = exchange();
        let router = self.shared.router();
        let entry = match self.find(&router, &request.url) {
            Ok(entry) => entry,
            Err(refused) => {
                self.logger.host(
                    Level::Debug,
                    format!("no app: {refused}"),
                    [("url", request.url.as_str().into()), ("client", request.client.to_string().into())],
                );
                responder.send(Ok(refusal(refused.status(), refused)));
                return Call::new(pending, self, u64::MAX);
            }
        };
        let limits = &entry.app().manifest.limits;
        let at_limit = |kind, limit| Err(Failure::at_limit(kind, limit, limits.get(limit)));
        if entry.is_paused() || (matches!(entry.outcome.get(), Some(Err(_))) && !entry.may_serve()) {
            responder.send(Err(FailureKind::Unavailable.into()));
            return Call::new(pending, self, u64::MAX);
        }
        let Request { id, method, url, headers, body, client, event } = request;
        if let Some(refused) = too_large(&method, &url, &headers, limits) {
            responder.send(Ok(refusal(refused.status(), refused)));
            return Call::new(pending, self, u64::MAX);
        }
        let (body, passing) = SentBody::of(body, Patience::default());
        if let Some(passing) = passing {
            tokio::task::spawn_local(passing);
        }
        let request = SentRequest { id, method, url, headers, body, client, event };
        let mut waiting = self.waiting.borrow_mut();
        let place = waiting.vacant_entry();
        let serial = self.serial.get().wrapping_add(1);
        self.serial.set(serial);
        let key = u64::from(serial) << 32 | place.key() as u64;
        let parcel = Arc::new(Parcel::new(request, Asker::Front(key, self.returns.clone())));
        let most = limits.size(Limit::Queue).saturating_add(limits.size(Limit::Requests));
        match entry.mail().put(parcel.clone(), most, |waker| self.wakes.add(waker)) {
            Put::Done => {}
            Put::Wanted => entry.tell(Event::Wanted { app: entry.index }),
            Put::Full => {
                entry.start().interventions.unserved();
                responder.send(at_limit(FailureKind::Overloaded, Limit::Queue));
                return Call::new(pending, self.clone(), u64::MAX);
            }
        }
        let deadlines = Deadlines::new(limits);
        place.insert(Waiting { responder, parcel, deadlines, entry: entry.clone(), serial });
        drop(waiting);
        self.some_wait.notify_one();
        Call::new(pending, self, key)
    }

    fn body_limit(&self, url: &str) -> Option<BodyLimit> {
        let router = self.shared.router();
        let entry = self.find(&router, url).ok()?;
        let app = entry.app();
        let limits = &app.manifest.limits;
        Some(BodyLimit { most: limits.get(Limit::Body), timeout: limits.time(Limit::Idle) })
    }

    fn refused(&self, refused: Refused) {
        let fields =
            [("client", refused.client.to_string().into()), ("request_id", refused.id.to_string().into())];
        self.logger.host(Level::Debug, format!("refused: {}", refused.refusal), fields);
    }

    fn next_request_id(&self) -> RequestId {
        self.ids.next()
    }

    fn accept_failed(&self, error: &io::Error) {
        self.logger.host(Level::Error, format!("a shared port cannot accept connections: {error}"), []);
    }
}

impl CallOwner for FrontService {
    fn ended(&self, key: u64, outcome: Outcome) {
        let Some(waiting) = self.waiting.borrow_mut().try_remove(slot(key)) else { return };
        if waiting.serial == serial(key) && !outcome.complete {
            waiting.parcel.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_parted_into_host_and_path() {
        for (url, parts) in [
            ("http://a.example/b/c?d=/e", ("a.example", "/b/c")),
            ("https://a:8080/", ("a:8080", "/")),
            ("http://[::1]:80/x", ("[::1]:80", "/x")),
            ("http://a/?q", ("a", "/")),
        ] {
            assert_eq!(host_and_path(url), parts, "{url}");
        }
    }
}
