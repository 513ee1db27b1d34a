//! The workers of each app: who serves, who takes over, who drains, who is lost.
//!
//! ```text
//!            Full, Slow: a fresh one starts      Serving: the fresh one serves
//! serving ───────────────────────────────► both ───────────────────────────────► the old one drains, ends
//!    │
//!    └─ Lost: its thread never comes back ─► a successor starts, after a while if that happens often
//! ```
//!
//! All workers of an app accept from the same socket, so no connection is refused meanwhile. At most one of them drains
//! at a time.

mod losses;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use nexus_core::App;
use nexus_guest::{Level, Stop};
use tokio::sync::{mpsc, oneshot};

use self::losses::Losses;
use crate::host::Told;
use crate::listen::Bound;
use crate::log::Logger;
use crate::metrics::{AppStats, AppSum, Replaced};
use crate::seat::Seat;
use crate::watchdog::Watchdog;
use crate::worker::{self, Birth, Control, Event, Start, Worker};

/// A worker is not replaced for its memory before it has served for so long: what fills at once would fill again.
const MIN_SERVICE: Duration = Duration::from_millis(250);
/// After one that was to take over could not be loaded, the next attempt waits this long.
const NO_RELIEF: Duration = Duration::from_secs(30);
/// After a thread could not be had, the next attempt waits this long.
const NO_THREAD: Duration = Duration::from_secs(1);

/// An app and all that serves it.
pub(crate) struct Entry {
    pub(crate) app: Arc<App>,
    /// Set once the app is served, or has failed.
    pub(crate) outcome: OnceLock<Result<Duration, String>>,
    start: Arc<Start>,
    /// The app's place among those that were found.
    place: usize,
    crew: Mutex<Crew>,
}

#[derive(Default)]
struct Crew {
    members: Vec<Member>,
    /// What those counted that are gone.
    past: AppStats,
    losses: Losses,
    is_stopping: bool,
}

struct Member {
    worker: Arc<Worker>,
    role: Role,
    /// From when on it may be replaced for its memory.
    may_be_relieved: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// It loads the app.
    Coming,
    Serving,
    Draining,
}

impl Crew {
    fn has(&self, role: Role) -> bool {
        self.members.iter().any(|member| member.role == role)
    }

    fn find(&mut self, number: u32) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.worker.number == number)
    }

    /// The worker is gone: what it counted is kept.
    fn remove(&mut self, number: u32) -> Option<Member> {
        let at = self.members.iter().position(|member| member.worker.number == number)?;
        let member = self.members.swap_remove(at);
        self.past.absorb(&member.worker.stats, &member.worker.figures);
        Some(member)
    }
}

impl Entry {
    pub(crate) fn new(start: Arc<Start>, place: usize) -> Self {
        Self { app: start.app.clone(), outcome: OnceLock::new(), start, place, crew: Mutex::default() }
    }

    fn crew(&self) -> MutexGuard<'_, Crew> {
        // Each change leaves it whole.
        self.crew.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The app's listening socket.
    pub(crate) fn socket(&self) -> &Bound {
        &self.start.socket
    }

    /// Where the app is served.
    pub(crate) fn url(&self) -> String {
        self.start.socket.url()
    }

    /// All workers that are not lost.
    pub(crate) fn workers(&self) -> Vec<Arc<Worker>> {
        self.crew().members.iter().map(|member| member.worker.clone()).collect()
    }

    /// All that was counted for the app.
    pub(crate) fn sum(&self) -> AppSum {
        let crew = self.crew();
        let mut sum = AppSum::new(self.app.name().as_str());
        sum.intervened(&self.start.interventions);
        sum.add_past(&crew.past);
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

/// The registry of all apps that got as far as a worker.
pub(crate) struct Registry {
    pub(crate) entries: Vec<Entry>,
    pub(crate) watchdog: Arc<Watchdog>,
    seat: Seat,
    /// Whether another host serves on the same sockets until this one takes over.
    is_second: AtomicBool,
    last_number: AtomicU32,
    logger: Logger,
}

impl Registry {
    pub(crate) fn new(watchdog: Arc<Watchdog>, seat: Seat, logger: Logger) -> Self {
        let is_second = AtomicBool::new(seat.takes_over);
        Self { entries: Vec::new(), watchdog, seat, is_second, last_number: AtomicU32::new(0), logger }
    }

    /// No other host serves on the same sockets any more.
    pub(crate) fn take_over(&self) {
        self.is_second.store(false, Ordering::Relaxed);
    }

    /// Starts the app's first worker.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start_first(&self, entry: &Entry) -> std::io::Result<()> {
        self.start_worker(entry, &mut entry.crew(), Birth::First)
    }

    fn start_worker(&self, entry: &Entry, crew: &mut Crew, birth: Birth) -> std::io::Result<()> {
        let number = self.last_number.fetch_add(1, Ordering::Relaxed) + 1;
        let watch = Arc::new(self.seat.watch(entry.place));
        let worker = worker::start(&entry.start, number, birth, watch)?;
        crew.members.push(Member { worker, role: Role::Coming, may_be_relieved: Instant::now() });
        Ok(())
    }

    /// Has all workers end; gives for each who resolves once it has, or is lost.
    pub(crate) fn stop(&self, control: impl Fn() -> Control) -> Vec<oneshot::Receiver<()>> {
        let mut over = Vec::new();
        for entry in &self.entries {
            let mut crew = entry.crew();
            crew.is_stopping = true;
            for member in &crew.members {
                member.worker.command(control());
                over.extend(member.worker.when_over());
            }
        }
        over
    }

    /// Acts on what workers tell, until nobody is left who could tell anything.
    pub(crate) async fn tend(
        self: Arc<Self>,
        mut events: mpsc::UnboundedReceiver<Event>,
        told: mpsc::UnboundedSender<Told>,
    ) {
        let mut is_spent = false;
        while let Some(event) = events.recv().await {
            let act = AssertUnwindSafe(|| self.act(event, &told, &mut is_spent));
            if catch_unwind(act).is_err() {
                self.logger.host(Level::Error, "what a worker told could not be acted on", []);
            }
        }
    }

    fn act(&self, event: Event, told: &mpsc::UnboundedSender<Told>, is_spent: &mut bool) {
        let app = event.app();
        let Some(entry) = self.entries.get(app) else { return };
        match event {
            Event::Serving { worker, took, .. } => {
                self.serves(entry, worker);
                self.outcome(entry, app, Ok(took), told);
            }
            Event::Full { worker, .. } => self.replace(entry, worker, Replaced::Memory),
            Event::Slow { worker, .. } => self.replace(entry, worker, Replaced::Slow),
            Event::Lost { worker, stop, .. } => {
                if let Some(why) = self.lost(entry, worker, &stop) {
                    spent(why, told, is_spent);
                }
                if entry.outcome.get().is_none() {
                    self.outcome(entry, app, Err(stop.detail), told);
                }
                self.ensure(entry);
            }
            Event::Spent { why, .. } => spent(why, told, is_spent),
            Event::Ended { worker, error, .. } => {
                let mut crew = entry.crew();
                let _ = crew.remove(worker);
                if error.is_some() {
                    let next = Instant::now() + NO_RELIEF;
                    crew.members.iter_mut().for_each(|member| member.may_be_relieved = next);
                }
                drop(crew);
                if let Some(error) = error {
                    if entry.outcome.get().is_some() {
                        let message = format!("the fresh worker cannot take over: {error}");
                        self.tell(entry, Level::Error, message);
                    }
                    self.outcome(entry, app, Err(error), told);
                }
                self.ensure(entry);
            }
            Event::Missing { .. } => self.ensure(entry),
        }
    }

    /// The first outcome of an app counts.
    fn outcome(
        &self,
        entry: &Entry,
        app: usize,
        outcome: Result<Duration, String>,
        told: &mpsc::UnboundedSender<Told>,
    ) {
        let has_failed = outcome.is_err();
        if entry.outcome.set(outcome).is_ok() {
            if has_failed && !self.is_second.load(Ordering::Relaxed) {
                // Nobody will accept from it any more.
                self.seat.sockets().close_one(&entry.start.socket);
            }
            let _ = told.send(Told::App(app));
        }
    }

    /// A worker serves: the one before it drains.
    fn serves(&self, entry: &Entry, number: u32) {
        let mut crew = entry.crew();
        if crew.is_stopping || crew.find(number).is_none() {
            return;
        }
        for member in &mut crew.members {
            if member.worker.number == number {
                member.role = Role::Serving;
                member.may_be_relieved = Instant::now() + MIN_SERVICE;
            } else if member.role == Role::Serving {
                member.role = Role::Draining;
                member.worker.command(Control::Retire);
            }
        }
    }

    /// A fresh worker is to take over from this one.
    fn replace(&self, entry: &Entry, number: u32, why: Replaced) {
        let mut crew = entry.crew();
        if crew.is_stopping || crew.has(Role::Coming) || crew.has(Role::Draining) {
            return;
        }
        let Some(member) = crew.find(number) else { return };
        if why == Replaced::Memory && Instant::now() < member.may_be_relieved {
            return;
        }
        let held = member.worker.watch.memory() >> 20;
        match self.start_worker(entry, &mut crew, Birth::Relief) {
            Ok(()) => {
                entry.start.interventions.replaced(why);
                let message = match why {
                    Replaced::Memory => format!("a fresh worker takes over: this one holds {held} MB"),
                    _ => "a fresh worker takes over: the thread of this one has to stay slow".to_owned(),
                };
                self.tell(entry, Level::Info, message);
            }
            Err(error) => self.tell(entry, Level::Error, format!("cannot start a worker's thread: {error}")),
        }
    }

    /// A worker is lost. Gives why the process is to be replaced, if it is.
    fn lost(&self, entry: &Entry, number: u32, stop: &Stop) -> Option<String> {
        let mut crew = entry.crew();
        let member = crew.remove(number)?;
        crew.past.stopped(stop.reason);
        drop(crew);
        let held = member.worker.watch.memory();
        entry.start.interventions.lost(held);
        let message = format!("a worker's thread is lost, with {} MB: {}", held >> 20, stop.detail);
        self.tell(entry, Level::Error, message);
        self.watchdog.ledger().lose(held)
    }

    /// Starts a worker for an app that has none any more, and should have one.
    fn ensure(&self, entry: &Entry) {
        let mut crew = entry.crew();
        let should = !crew.is_stopping && matches!(entry.outcome.get(), Some(Ok(_)));
        if !should || crew.has(Role::Serving) || crew.has(Role::Coming) {
            return;
        }
        let now = Instant::now();
        let wait = crew.losses.another(now);
        match self.start_worker(entry, &mut crew, Birth::Successor { not_before: now + wait }) {
            Ok(()) => entry.start.interventions.replaced(Replaced::Lost),
            Err(error) => {
                self.tell(entry, Level::Error, format!("cannot start a worker's thread: {error}"));
                let (events, app) = (entry.start.events.clone(), entry.start.index);
                tokio::spawn(async move {
                    tokio::time::sleep(NO_THREAD).await;
                    let _ = events.send(Event::Missing { app });
                });
            }
        }
    }

    fn tell(&self, entry: &Entry, level: Level, message: String) {
        self.logger.host(level, message, [("app", entry.app.name().as_str().into())]);
    }
}

/// The process is to be replaced; that is told once.
fn spent(why: String, told: &mpsc::UnboundedSender<Told>, is_spent: &mut bool) {
    if !std::mem::replace(is_spent, true) {
        let _ = told.send(Told::Spent(why));
    }
}
