//! An app of the registry, and its workers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use nexus_core::{App, HttpSection, Scale};
use nexus_guest::{Engine, Grant};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::losses::Losses;
use super::lot::Lot;
use crate::front::Mail;
use crate::http::Inbox;
use crate::listen::Bound;
use crate::metrics::{AppStats, AppSum};
use crate::worker::{Birth, Control, Event, Files, OnceAll, Start, Worker};

/// An app and all that serves it.
pub(crate) struct Entry {
    /// The app's name in the registry: unique in the process, never used again.
    pub(crate) index: usize,
    /// Set once the app is served, or has failed.
    pub(crate) outcome: OnceLock<Result<Duration, String>>,
    /// The app's place among those that were found.
    pub(super) place: usize,
    /// What its next worker is started with: its version.
    version: Mutex<Arc<Start>>,
    lot: Lot,
    crew: Mutex<Crew>,
    /// Whether it was stopped, and has no worker until it is started again.
    is_paused: AtomicBool,
    /// Whether its shared port is to lead to it, once it does so at all.
    is_routed: AtomicBool,
    /// What it will claim on its shared port beside what it has, if the version that is being loaded comes to serve.
    claim: Mutex<Option<Arc<HttpSection>>>,
    /// Told when the outcome is set.
    when_settled: Mutex<Option<oneshot::Sender<()>>>,
    /// Whether somebody waits for that, or has done so.
    is_on_trial: AtomicBool,
}

/// An app's workers.
#[derive(Default)]
pub(super) struct Crew {
    pub(super) members: Vec<Member>,
    /// What those counted that are gone.
    pub(super) past: AppStats,
    pub(super) losses: Losses,
    pub(super) is_stopping: bool,
    /// Where connections go that ask for something while the app is stopped.
    pub(super) aside: Option<Inbox>,
    /// Set while the app has no worker for want of requests: who waits for somebody to connect.
    pub(super) asleep: Option<Asleep>,
    /// No further worker is started before.
    pub(super) no_help_before: Option<Instant>,
    /// So many are to serve, for so many served the version before. 0 once they do.
    pub(super) restores: usize,
    /// Since when it has as many workers as it has.
    pub(super) scaled: Option<Instant>,
    /// A version that waits until it may be loaded, and who is told how that went.
    pub(super) next: Option<(Arc<Start>, Done)>,
}

/// Whoever is told how it went with a version.
type Done = oneshot::Sender<Result<(), Refused>>;

/// Who waits for somebody to connect to an app without a worker, if anybody has to: requests on a shared port tell by
/// themselves.
pub(super) struct Asleep(pub(super) Option<AbortHandle>);

/// A version of an app that is to take the place of the one that serves.
pub(crate) struct Change {
    pub(crate) app: Arc<App>,
    pub(crate) engine: Option<Arc<dyn Engine>>,
    /// What its bindings are granted, in order.
    pub(crate) grants: Vec<Arc<Grant>>,
    /// What keeps its files where they are.
    pub(crate) files: Option<Files>,
}

/// Why a version does not take the place of the one that serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Another one came before it was loaded.
    Superseded,
    /// For this reason, as the user is to read it.
    Because(String),
}

impl From<String> for Refused {
    fn from(why: String) -> Self {
        Self::Because(why)
    }
}

/// Hosts and paths on a shared port that nobody else can have while it is there.
pub(crate) struct Claim<'a> {
    entry: &'a Entry,
    http: Arc<HttpSection>,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut claim = self.entry.claim.lock().unwrap_or_else(PoisonError::into_inner);
        if claim.as_ref().is_some_and(|claim| Arc::ptr_eq(claim, &self.http)) {
            *claim = None;
        }
    }
}

/// A worker of an app.
pub(super) struct Member {
    pub(super) worker: Arc<Worker>,
    pub(super) role: Role,
    /// The version that it runs.
    pub(super) start: Arc<Start>,
    /// The worker that goes when this one serves.
    pub(super) relieves: Option<u32>,
    /// Set for the first of a new version: told how it went.
    pub(super) done: Option<Done>,
    /// From when on it may be replaced for its memory.
    pub(super) may_be_relieved: Instant,
}

/// What a worker is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// It loads the app.
    Coming,
    Serving,
    Draining,
}

impl Crew {
    pub(super) fn has(&self, role: Role) -> bool {
        self.members.iter().any(|member| member.role == role)
    }

    pub(super) fn count(&self, role: Role) -> usize {
        self.members.iter().filter(|member| member.role == role).count()
    }

    pub(super) fn find(&mut self, number: u32) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.worker.number == number)
    }

    /// The worker that has served for the shortest time, without this one.
    pub(super) fn youngest_but(&self, number: u32) -> Option<&Member> {
        let serving = self.members.iter().filter(|member| member.role == Role::Serving);
        serving.filter(|member| member.worker.number != number).max_by_key(|member| member.worker.number)
    }

    /// Where a connection goes that needs a worker now: one that serves, or will answer in any case.
    pub(super) fn taker(&self) -> Option<&Inbox> {
        let successor = |member: &&Member| {
            member.role == Role::Coming && matches!(member.worker.birth, Birth::Successor { .. })
        };
        let taker = self.youngest_but(0).or_else(|| self.members.iter().find(successor));
        taker.map(|member| &member.worker.inbox)
    }

    /// Has a worker finish what it has, and leave its connections there. It lets go of `told` as soon as no request is its
    /// own any more that comes from now on.
    pub(super) fn retire(&mut self, number: u32, to: &Inbox, told: Option<Arc<OnceAll>>) {
        if let Some(member) = self.find(number) {
            member.role = Role::Draining;
            member.worker.inbox.forward(to);
            member.worker.command(Control::Retire(to.clone(), told));
        }
    }

    /// The worker is gone: what it counted is kept, and what was on its way to it goes to `lot`.
    pub(super) fn remove(&mut self, number: u32, lot: &Inbox) -> Option<Member> {
        let at = self.members.iter().position(|member| member.worker.number == number)?;
        let member = self.members.swap_remove(at);
        member.worker.inbox.forward(lot);
        self.past.absorb(&member.worker.stats, &member.worker.figures);
        Some(member)
    }

    /// Who connects from now on is another host's.
    pub(super) fn ignores_who_connects(&mut self) {
        if let Some(Asleep(watcher)) = &mut self.asleep
            && let Some(watcher) = watcher.take()
        {
            watcher.abort();
        }
    }

    /// Nobody need wait for somebody to connect any more.
    pub(super) fn wakes(&mut self) {
        if let Some(Asleep(Some(watcher))) = self.asleep.take() {
            watcher.abort();
        }
    }
}

impl Entry {
    pub(crate) fn new(start: Arc<Start>, place: usize) -> Self {
        Self {
            index: start.index,
            outcome: OnceLock::new(),
            place,
            version: Mutex::new(start),
            lot: Lot::default(),
            crew: Mutex::default(),
            is_paused: AtomicBool::new(false),
            is_routed: AtomicBool::new(true),
            claim: Mutex::default(),
            when_settled: Mutex::default(),
            is_on_trial: AtomicBool::new(false),
        }
    }

    /// Resolves when the app is served for the first time, or has failed. For one caller, before its first worker is
    /// started. Of a failure only that caller is told, and nothing tries the app again.
    pub(crate) fn when_settled(&self) -> oneshot::Receiver<()> {
        self.is_on_trial.store(true, Ordering::Relaxed);
        let (settle, settled) = oneshot::channel();
        *self.when_settled.lock().unwrap_or_else(PoisonError::into_inner) = Some(settle);
        settled
    }

    /// Whether somebody waits for its first outcome, or has done so, and removes it if it fails.
    pub(super) fn is_on_trial(&self) -> bool {
        // Relaxed: it is set before the first worker's thread is started.
        self.is_on_trial.load(Ordering::Relaxed)
    }

    /// The outcome is set by now.
    pub(super) fn settle(&self) {
        if let Some(settle) = self.when_settled.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // Whoever waited may have gone.
            let _ = settle.send(());
        }
    }

    /// Whether it was stopped, and has no worker until it is started again.
    pub(crate) fn is_paused(&self) -> bool {
        // Relaxed: what depends on it is looked at with the crew's lock, or again later.
        self.is_paused.load(Ordering::Relaxed)
    }

    pub(super) fn set_paused(&self, is_paused: bool) {
        self.is_paused.store(is_paused, Ordering::Relaxed);
    }

    /// Whether requests on its shared port are to come to it.
    pub(crate) fn is_routed(&self) -> bool {
        self.is_routed.load(Ordering::Relaxed)
    }

    /// Whether requests on its shared port are to come to it from the port's next router on.
    pub(crate) fn set_routed(&self, is_routed: bool) {
        self.is_routed.store(is_routed, Ordering::Relaxed);
    }

    /// Keeps hosts and paths for a version of this app, until the claim is dropped or another one is made.
    pub(crate) fn claim(&self, http: &HttpSection) -> Claim<'_> {
        let http = Arc::new(http.clone());
        *self.claim.lock().unwrap_or_else(PoisonError::into_inner) = Some(http.clone());
        Claim { entry: self, http }
    }

    /// What is kept for a version that does not serve.
    pub(crate) fn claimed(&self) -> Option<Arc<HttpSection>> {
        self.claim.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether any of its workers has not ended.
    pub(crate) fn has_workers(&self) -> bool {
        !self.crew().members.is_empty()
    }

    pub(super) fn crew(&self) -> MutexGuard<'_, Crew> {
        // Each change leaves it whole.
        self.crew.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What its next worker is started with.
    pub(crate) fn start(&self) -> Arc<Start> {
        self.version.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on this version serves.
    pub(super) fn runs(&self, start: Arc<Start>) {
        *self.version.lock().unwrap_or_else(PoisonError::into_inner) = start;
    }

    /// The app, in the version that serves.
    pub(crate) fn app(&self) -> Arc<App> {
        self.start().app.clone()
    }

    /// How many workers it is to have.
    pub(super) fn scale(&self) -> Scale {
        self.start().app.manifest.scale
    }

    /// The app's listening socket.
    pub(crate) fn socket(&self) -> Arc<Bound> {
        self.start().socket.clone()
    }

    /// Where the app is served.
    pub(crate) fn url(&self) -> String {
        self.start().socket.url()
    }

    /// Whether others share its socket.
    pub(crate) fn is_shared(&self) -> bool {
        self.start().is_shared
    }

    /// Where its requests come from that it accepts from no socket of its own.
    pub(crate) fn mail(&self) -> Arc<Mail> {
        self.start().mail.clone()
    }

    /// Whether the app may be served, now or later.
    pub(crate) fn may_serve(&self) -> bool {
        !matches!(self.outcome.get(), Some(Err(_))) || !self.crew().members.is_empty()
    }

    /// Tells the host something about the app.
    pub(crate) fn tell(&self, event: Event) {
        // A host that is gone need not know.
        let _ = self.start().events.send(event);
    }

    /// Its connections without a worker.
    pub(super) fn lot(&self) -> &Lot {
        &self.lot
    }

    /// Where connections go that have no worker. They have one started when they need it.
    pub(crate) fn lot_inbox(&self) -> &Inbox {
        let (events, app) = (self.start().events.clone(), self.index);
        self.lot.inbox(move || {
            // A host that is gone wants nobody any more.
            let _ = events.send(Event::Wanted { app });
        })
    }

    /// All workers that are not lost.
    pub(crate) fn workers(&self) -> Vec<Arc<Worker>> {
        self.crew().members.iter().map(|member| member.worker.clone()).collect()
    }

    /// All that was counted for the app.
    pub(crate) fn sum(&self) -> AppSum {
        let start = self.start();
        let crew = self.crew();
        let mut sum = AppSum::new(start.app.name().as_str());
        sum.intervened(&start.interventions);
        sum.add_past(&crew.past);
        sum.parked(self.lot.count());
        if crew.asleep.is_some() {
            sum.asleep();
        }
        for member in &crew.members {
            let worker = &member.worker;
            let connections = worker.connections.load(Ordering::Relaxed);
            sum.add(&worker.stats, &worker.figures, connections, worker.watch.memory());
            match member.role {
                Role::Coming => {}
                Role::Serving => sum.serving(),
                Role::Draining => sum.draining(),
            }
        }
        sum
    }
}
