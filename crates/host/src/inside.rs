//! Requests from inside of the process: of one app to another, and of the host to an app.
//!
//! ```text
//! any thread ── Inside::find(app) ─► Callee::ask(request) ── Parcel ─► Mail of the app ─► its workers
//!      ▲                                                        │
//!      └───────── Asked::answer ◄── the answer, within it ◄─────┘
//! ```
//!
//! They go the way of requests from shared ports, without a socket and an I/O thread: one hand-over there and one back.
//! Whoever asks looks at the deadlines that the app has for requests, as an I/O thread does, for the app's worker may be
//! lost. Whoever drops an [`Asked`] has the app's guest told that nobody waits any more.

use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, Weak};
use std::task::Waker;
use std::time::{Duration, Instant};

use nexus_core::{App, AppName, Limit};
use nexus_guest::{Failure, FailureKind, RequestId};
use slab::Slab;
use tokio::sync::watch;

use crate::crew::Entry;
use crate::front::{
    Answer, Arrivals, Asker, Deadlines, LOOK, Parcel, Patience, Put, SentBody, SentReply, SentRequest,
    refusal, too_large,
};
use crate::http::RequestIds;
use crate::worker::Event;

/// Where the apps of the process find one another. One for the process.
pub(crate) struct Inside {
    /// Those of the registry.
    apps: RwLock<BTreeMap<AppName, Weak<Entry>>>,
    ids: Mutex<RequestIds>,
    /// Counts what is asked in the name of requests.
    count: AtomicU32,
    /// Whether any app may ask another one.
    is_used: AtomicBool,
    /// Whether none is to be answered any more, in a host that ends.
    is_closed: watch::Sender<bool>,
}

/// Why an app cannot be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotThere {
    /// There is no app of this name.
    Unknown,
    /// It was stopped.
    Stopped,
    /// It could not be loaded.
    Failed,
}

impl NotThere {
    /// What is the matter with the app, to follow its name.
    pub(crate) fn why(self) -> &'static str {
        match self {
            NotThere::Unknown => "is not on this host",
            NotThere::Stopped => "is stopped",
            NotThere::Failed => "could not be loaded",
        }
    }
}

impl Inside {
    /// Without apps.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub(crate) fn new() -> io::Result<Self> {
        let ids = Mutex::new(RequestIds::new()?);
        let (is_closed, _) = watch::channel(false);
        let (count, is_used) = (AtomicU32::new(0), AtomicBool::new(false));
        Ok(Self { apps: RwLock::default(), ids, count, is_used, is_closed })
    }

    /// An app is there from now on.
    pub(crate) fn add(&self, entry: &Arc<Entry>) {
        let name = entry.app().name().clone();
        self.apps.write().unwrap_or_else(PoisonError::into_inner).insert(name, Arc::downgrade(entry));
    }

    /// It is not there any more. Another one of its name stays.
    pub(crate) fn remove(&self, entry: &Arc<Entry>) {
        let app = entry.app();
        let mut apps = self.apps.write().unwrap_or_else(PoisonError::into_inner);
        if apps.get(app.name()).is_some_and(|known| known.as_ptr() == Arc::as_ptr(entry)) {
            apps.remove(app.name());
        }
    }

    /// An app is there that may ask another one.
    pub(crate) fn uses(&self) {
        // Relaxed: it is set for good, long before a host ends.
        self.is_used.store(true, Ordering::Relaxed);
    }

    /// Whether any app may ask another one.
    pub(crate) fn is_used(&self) -> bool {
        self.is_used.load(Ordering::Relaxed)
    }

    /// The host ends, and nothing is under way any more that could ask for something.
    pub(crate) fn close(&self) {
        self.is_closed.send_replace(true);
    }

    /// Waits for that.
    pub(crate) async fn closed(&self) {
        // An end that goes away with the process is one, too.
        let _ = self.is_closed.subscribe().wait_for(|is_closed| *is_closed).await;
    }

    /// The app of this name, to ask it for something, from any thread.
    ///
    /// # Errors
    /// Why it cannot be asked for anything now.
    pub(crate) fn find(&self, name: &AppName) -> Result<Callee, NotThere> {
        let known =
            self.apps.read().unwrap_or_else(PoisonError::into_inner).get(name).and_then(Weak::upgrade);
        let entry = known.ok_or(NotThere::Unknown)?;
        if entry.is_paused() {
            return Err(NotThere::Stopped);
        }
        if matches!(entry.outcome.get(), Some(Err(_))) && !entry.may_serve() {
            return Err(NotThere::Failed);
        }
        let app = entry.app();
        Ok(Callee { entry, app })
    }

    /// An id for a request that nobody else's request is the reason of.
    pub(crate) fn next_id(&self) -> RequestId {
        // A change that was not made leaves it whole.
        self.ids.lock().unwrap_or_else(PoisonError::into_inner).next()
    }

    /// An id for a request that is sent in the name of another one: that one's with a number, so that whoever looks for
    /// the first in the log finds what came of it, too. However deep it is, it has one number only.
    pub(crate) fn id_within(&self, sender: RequestId) -> RequestId {
        let text = sender.as_str();
        let first = match sender.depth() {
            0 => text,
            _ => text.rsplit_once('.').map_or(text, |(first, _)| first),
        };
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        RequestId::parse(format!("{first}.{number}").as_bytes()).unwrap_or_else(|| self.next_id())
    }
}

/// An app that can be asked for something.
pub(crate) struct Callee {
    entry: Arc<Entry>,
    app: Arc<App>,
}

impl Callee {
    /// The app, in the version that serves.
    pub(crate) fn app(&self) -> &App {
        &self.app
    }

    /// Asks it, for a worker or for the host itself, and has whoever is to answer woken by `wake`. Never waits; what the app does not take is answered as it would
    /// be over HTTP.
    pub(crate) fn ask(
        self,
        request: SentRequest,
        arrivals: Option<Arc<Arrivals>>,
        wake: impl FnOnce(Waker),
    ) -> Asked {
        let limits = &self.app.manifest.limits;
        let refused = too_large(&request.method, &request.url, &request.headers, limits);
        let deadlines = Deadlines::new(limits);
        let parcel = Arc::new(Parcel::new(request, Asker::Inside(arrivals.clone())));
        let entry = self.entry;
        // Nobody waits so far whom an answer would have to wake.
        if let Some(refused) = refused {
            let reply = refusal(refused.status(), refused);
            let (body, _) = SentBody::of(reply.body, Patience::default());
            let _ = parcel.answer(Ok(SentReply { status: reply.status, headers: reply.headers, body }));
        } else {
            let most = limits.size(Limit::Queue).saturating_add(limits.size(Limit::Requests));
            match entry.mail().put(parcel.clone(), most, wake) {
                Put::Done => {}
                Put::Wanted => entry.tell(Event::Wanted { app: entry.index }),
                Put::Full => {
                    entry.start().interventions.unserved();
                    let limit = limits.get(Limit::Queue);
                    let failure = Failure::at_limit(FailureKind::Overloaded, Limit::Queue, limit);
                    let _ = parcel.answer(Err(failure));
                }
            }
        }
        Asked { parcel, entry, deadlines, arrivals, is_over: false }
    }
}

/// A request that an app was asked for. Dropped without an answer, it is given up.
pub(crate) struct Asked {
    parcel: Arc<Parcel>,
    entry: Arc<Entry>,
    deadlines: Deadlines,
    /// Where the answer arrives, if a worker has asked.
    arrivals: Option<Arc<Arrivals>>,
    /// Whether the answer was taken. What it may hold of the other app's is in its body from then on.
    is_over: bool,
}

impl Asked {
    /// The request on its way.
    pub(crate) fn parcel(&self) -> &Arc<Parcel> {
        &self.parcel
    }

    /// Waits for the answer, in an event loop with timers.
    pub(crate) async fn answer(&mut self) -> Answer {
        loop {
            if let Some(answer) = self.answer_until(Instant::now() + LOOK).await {
                return answer;
            }
        }
    }

    /// Waits for the answer until then.
    pub(crate) async fn answer_until(&mut self, until: Instant) -> Option<Answer> {
        loop {
            let now = Instant::now();
            // The worker may be lost, or in a long turn before it wakes whom it has answered.
            let look = next_look(now).min(until);
            let answered = poll_fn(|cx| self.parcel.poll_answer(cx));
            let came = match &self.arrivals {
                Some(arrivals) => arrivals.until(look, answered).await,
                None => tokio::time::timeout_at(look.into(), answered).await.ok(),
            };
            if let Some(answer) = came {
                self.is_over = true;
                return Some(answer);
            }
            let now = Instant::now();
            if now >= until {
                return None;
            }
            if self.parcel.is_answered() {
                continue;
            }
            if let Some(failure) = self.deadlines.failure(now, self.parcel.waits()) {
                self.entry.start().interventions.unserved();
                // Whoever has it by now gives it up.
                self.parcel.cancel();
                return Some(Err(failure));
            }
        }
    }
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").field("parcel", &self.parcel).finish_non_exhaustive()
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if !self.is_over {
            self.parcel.cancel();
        }
    }
}

/// When calls that wait now look at their deadlines: all at the same times, so that a look is one for all.
fn next_look(now: Instant) -> Instant {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    let first = *FIRST.get_or_init(|| now);
    let since = now.saturating_duration_since(first);
    now + LOOK - Duration::from_nanos((since.as_nanos() % LOOK.as_nanos()) as u64)
}

/// What a worker has asked other apps. Any thread may end it.
#[derive(Debug, Default)]
pub(crate) struct Asking(Mutex<Slab<Arc<Parcel>>>);

impl Asking {
    fn parcels(&self) -> MutexGuard<'_, Slab<Arc<Parcel>>> {
        // Each change leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a request; gives its place.
    pub(crate) fn add(&self, parcel: Arc<Parcel>) -> usize {
        self.parcels().insert(parcel)
    }

    /// The request at this place is over.
    pub(crate) fn remove(&self, place: usize) {
        let _parcel = self.parcels().try_remove(place);
    }

    /// Has all look whether they have waited for too long.
    pub(crate) fn wake(&self) {
        let parcels: Vec<Arc<Parcel>> = self.parcels().iter().map(|(_, parcel)| parcel.clone()).collect();
        parcels.iter().filter_map(|parcel| parcel.awaiting()).for_each(Waker::wake);
    }

    /// Whether nothing is under way.
    pub(crate) fn is_empty(&self) -> bool {
        self.parcels().is_empty()
    }

    /// The worker is lost: nobody waits for what it has asked, nor reads what is on its way.
    pub(crate) fn abandon(&self) {
        let parcels = std::mem::take(&mut *self.parcels());
        for (_, parcel) in parcels {
            parcel.give_up();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_wait_look_together() {
        let begun = Instant::now();
        let looks: Vec<Instant> =
            (0..40).map(|i| next_look(begun + Duration::from_millis(i * 10 + 3))).collect();
        for (i, look) in looks.iter().enumerate() {
            let now = begun + Duration::from_millis(i as u64 * 10 + 3);
            assert!(*look > now && *look <= now + LOOK);
        }
        let mut different = looks;
        different.dedup();
        assert!(different.len() <= 5, "{different:?}");
    }

    #[test]
    fn what_comes_of_a_request_has_its_id_and_one_number() {
        let inside = Inside::new().unwrap();
        let id = |text: &str, depth| RequestId::parse(text.as_bytes()).unwrap().at_depth(depth);
        let first = inside.id_within(id("abc.7", 0));
        assert_eq!(first.as_str(), "abc.7.0");
        assert_eq!(inside.id_within(first.at_depth(1)).as_str(), "abc.7.1");
        // Where there is no room for a number it is another one.
        let long = "x".repeat(RequestId::MAX);
        let other = inside.id_within(id(&long, 0));
        assert_eq!((other.as_str().len(), other.depth()), (32, 0));
        assert_eq!(inside.id_within(other.at_depth(1)).as_str(), format!("{other}.3"));
        assert_ne!(inside.next_id(), inside.next_id());
    }
}
