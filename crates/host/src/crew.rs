//! The workers of each app: who serves, who takes over, who helps, who drains, who is lost.
//!
//! ```text
//!            Full, Slow, a new version: a fresh one starts    Serving: the fresh one serves
//! serving ───────────────────────────────────────► both ───────────────────────────────► the old one drains, ends
//!    │  │ │
//!    │  │ └─ Saturated: another one helps, up to `workers`; Spare: the youngest drains
//!    │  └─── Idle: it drains; the last leaves the app asleep ─── Wanted: somebody connects, one starts
//!    └────── Lost: its thread never comes back ─► a successor starts, after a while if that happens often
//! ```
//!
//! All workers of an app accept from the same socket, so no connection is refused meanwhile. A worker that drains leaves
//! its open connections to one that serves, or to the app's lot where there is none (see [`lot`]).

mod change;
mod entry;
mod losses;
mod lot;
mod pause;
mod scale;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use nexus_guest::{Level, Stop};
use tokio::sync::{Notify, mpsc, oneshot};

pub(crate) use self::entry::{Change, Claim, Entry, Refused};
use self::entry::{Crew, Member, Role};
pub(crate) use self::pause::Commanded;
use crate::inside::Inside;
use crate::log::Logger;
use crate::metrics::Replaced;
use crate::seat::Seat;
use crate::told::Told;
use crate::watchdog::Watchdog;
use crate::worker::{self, Birth, Control, Event, OnceAll, Start};

/// A worker is not replaced for its memory before it has served for so long: what fills at once would fill again.
const MIN_SERVICE: Duration = Duration::from_millis(250);
/// After one that was to take over or to help could not be loaded, the next attempt waits this long.
const NO_RELIEF: Duration = Duration::from_secs(30);
/// After a thread could not be had, the next attempt waits this long.
const NO_THREAD: Duration = Duration::from_secs(1);
/// How long whoever asked for a version waits, once it serves, for those before it to take no request any more.
const SWITCHED: Duration = Duration::from_secs(1);
/// How often it is looked whether anything is under way that may ask other apps for something, in a host that ends.
const QUIET: Duration = Duration::from_millis(10);
/// So many workers of an app may drain before a further version waits.
const MAX_DRAINING: usize = 6;

/// The registry of all apps that got as far as a worker.
pub(crate) struct Registry {
    entries: RwLock<BTreeMap<usize, Arc<Entry>>>,
    /// Apps that were removed, until the last of their workers has ended.
    leaving: RwLock<BTreeMap<usize, Arc<Entry>>>,
    pub(crate) watchdog: Arc<Watchdog>,
    seat: Seat,
    /// Where apps of the process find one another.
    pub(crate) inside: Arc<Inside>,
    /// Whether another host serves on the same sockets until this one takes over.
    is_second: AtomicBool,
    /// Whether apps that could not be loaded may be loaded later, in another version.
    keeps_failed: bool,
    last_number: AtomicU32,
    logger: Logger,
    /// Told when there may be another app, or another version of one.
    pub(crate) changed: Arc<Notify>,
}

impl Registry {
    /// A registry without apps. If it `keeps_failed`, apps that cannot be loaded answer 503 until a version comes that
    /// can.
    pub(crate) fn new(
        watchdog: Arc<Watchdog>,
        seat: Seat,
        inside: Arc<Inside>,
        keeps_failed: bool,
        logger: Logger,
    ) -> Self {
        let is_second = AtomicBool::new(seat.takes_over);
        let (entries, leaving, last_number) = (RwLock::default(), RwLock::default(), AtomicU32::new(0));
        let changed = Arc::default();
        Self {
            entries,
            leaving,
            watchdog,
            seat,
            inside,
            is_second,
            keeps_failed,
            last_number,
            logger,
            changed,
        }
    }

    /// Adds an app.
    pub(crate) fn add(&self, entry: Arc<Entry>) {
        self.inside.add(&entry);
        self.entries.write().unwrap_or_else(PoisonError::into_inner).insert(entry.index, entry);
        self.changed.notify_one();
    }

    /// The app of this index.
    pub(crate) fn entry(&self, index: usize) -> Option<Arc<Entry>> {
        let of = |entries: &RwLock<BTreeMap<usize, Arc<Entry>>>| {
            entries.read().unwrap_or_else(PoisonError::into_inner).get(&index).cloned()
        };
        of(&self.entries).or_else(|| of(&self.leaving))
    }

    /// All apps, in the order in which they came.
    pub(crate) fn all(&self) -> Vec<Arc<Entry>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
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
        self.start_worker(entry, &mut entry.crew(), Birth::First).map(drop)
    }

    fn start_worker<'a>(
        &self,
        entry: &Entry,
        crew: &'a mut Crew,
        birth: Birth,
    ) -> std::io::Result<&'a mut Member> {
        self.start_version(entry, crew, birth, entry.start())
    }

    fn start_version<'a>(
        &self,
        entry: &Entry,
        crew: &'a mut Crew,
        birth: Birth,
        start: Arc<Start>,
    ) -> std::io::Result<&'a mut Member> {
        let number = self.last_number.fetch_add(1, Ordering::Relaxed) + 1;
        let watch = Arc::new(self.seat.watch(entry.place));
        let worker = worker::start(&start, number, birth, watch)?;
        let role = Role::Coming;
        let may_be_relieved = Instant::now();
        crew.wakes();
        crew.members.push(Member { worker, role, start, relieves: None, done: None, may_be_relieved });
        let last = crew.members.len() - 1;
        Ok(&mut crew.members[last])
    }

    /// Has all workers of these apps end; gives for each who resolves once it has, or is lost.
    pub(crate) fn stop(
        &self,
        of: impl Fn(&Entry) -> bool,
        control: impl Fn() -> Control,
    ) -> Vec<oneshot::Receiver<()>> {
        let all = self.all().into_iter().chain(self.all_leaving());
        all.filter(|entry| of(entry)).flat_map(|entry| self.stop_one(&entry, &control)).collect()
    }

    /// Has all workers of apps with a port of their own end, while another process accepts from the same sockets. Clients
    /// that have a connection to an app without a worker may send a request for so long, too, which wakes the app.
    pub(crate) async fn hand_over(&self, patience: Duration) -> Vec<oneshot::Receiver<()>> {
        let all = self.all().into_iter().chain(self.all_leaving()).filter(|entry| !entry.is_shared());
        let (waiting, others): (Vec<_>, Vec<_>) =
            all.partition(|entry| entry.lot().count() > 0 && !entry.is_paused());
        let mut over: Vec<_> =
            others.iter().flat_map(|entry| self.stop_one(entry, &|| Control::HandOver)).collect();
        for entry in &waiting {
            entry.crew().ignores_who_connects();
        }
        if !waiting.is_empty() {
            tokio::time::sleep(patience).await;
        }
        over.extend(waiting.iter().flat_map(|entry| self.stop_one(entry, &|| Control::HandOver)));
        over
    }

    fn stop_one(&self, entry: &Entry, control: &impl Fn() -> Control) -> Vec<oneshot::Receiver<()>> {
        stop(entry, control, self.inside.is_used())
    }

    /// Apps ask one another no more, once no worker has anything under way, or it is too late. All were told to end.
    pub(crate) async fn close_inside(&self, deadline: Instant) {
        let is_quiet = || {
            let mut all = self.all().into_iter().chain(self.all_leaving());
            all.all(|entry| entry.workers().iter().all(|worker| worker.is_quiet()))
        };
        while self.inside.is_used() && Instant::now() < deadline && !is_quiet() {
            tokio::time::sleep(QUIET).await;
        }
        self.inside.close();
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
        let Some(entry) = self.entry(app) else { return };
        let entry = &*entry;
        match event {
            Event::Serving { worker, took, .. } => {
                self.serves(entry, worker);
                self.outcome(entry, Ok(took), told);
            }
            Event::Full { worker, .. } => self.replace(entry, worker, Replaced::Memory),
            Event::Slow { worker, .. } => self.replace(entry, worker, Replaced::Slow),
            Event::Idle { worker, pressed, .. } => self.idle(entry, worker, pressed),
            Event::Wanted { .. } => self.wanted(entry),
            Event::Saturated { .. } => self.help(entry),
            Event::Spare { worker, .. } => self.spare(entry, worker),
            Event::Lost { worker, stop, .. } => {
                if let Some(why) = self.lost(entry, worker, &stop) {
                    spent(why, told, is_spent);
                }
                if entry.outcome.get().is_none() {
                    self.outcome(entry, Err(stop.detail), told);
                }
                self.ensure(entry);
            }
            Event::Spent { why, .. } => spent(why, told, is_spent),
            Event::Ended { worker, error, .. } => {
                self.ended(entry, worker, error.as_deref());
                match error {
                    Some(error) => self.outcome(entry, Err(error), told),
                    // It was told to end before it had loaded the app.
                    None => entry.settle(),
                }
                self.ensure(entry);
            }
            Event::Missing { .. } => self.ensure(entry),
        }
    }

    /// The first outcome of an app counts.
    fn outcome(&self, entry: &Entry, outcome: Result<Duration, String>, told: &mpsc::UnboundedSender<Told>) {
        let has_failed = outcome.is_err();
        if entry.outcome.set(outcome).is_ok() {
            let is_own = !entry.is_shared();
            if has_failed && is_own && !self.keeps_failed && !self.is_second.load(Ordering::Relaxed) {
                // Nobody will accept from it any more.
                self.seat.sockets().close_one(&entry.socket());
            }
            if self.has_failed(entry) {
                entry.refuse_mail();
            }
            if !has_failed || !entry.is_on_trial() {
                let _ = told.send(Told::App(entry.index));
            }
            entry.settle();
        }
    }

    /// Whether the app could not be loaded, and nobody will try it again.
    fn has_failed(&self, entry: &Entry) -> bool {
        matches!(entry.outcome.get(), Some(Err(_))) && (!self.keeps_failed || entry.is_on_trial())
    }

    /// A worker serves: those drain that it takes over from.
    fn serves(&self, entry: &Entry, number: u32) {
        let mut crew = entry.crew();
        let crew = &mut *crew;
        let Some(member) = crew.find(number).filter(|member| member.role == Role::Coming) else { return };
        member.role = Role::Serving;
        member.may_be_relieved = Instant::now() + MIN_SERVICE;
        let (birth, inbox) = (member.worker.birth, member.worker.inbox.clone());
        let (relieves, done, start) = (member.relieves, member.done.take(), member.start.clone());
        if crew.is_stopping {
            return;
        }
        if birth == Birth::Version {
            entry.runs(start);
            self.changed.notify_one();
        }
        let others = crew.members.iter().filter(|member| {
            let other = member.worker.number;
            // One that is about to serve is older: whoever serves last is to go on.
            let goes = birth == Birth::Version || relieves == Some(other);
            other != number && member.role == Role::Serving && goes
        });
        let others: Vec<u32> = others.map(|member| member.worker.number).collect();
        if birth == Birth::Version {
            // What kept so many at work goes on. That another version could not be loaded is no matter now.
            crew.restores = crew.restores.max(others.len());
            crew.no_help_before = None;
        }
        // Whoever asked for the version hears of it when none before it takes a request any more.
        let done = done.map(|done| {
            Arc::new(OnceAll::new(move || {
                // Whoever asked may have gone.
                let _ = done.send(Ok(()));
            }))
        });
        if let Some(done) = done.as_ref().filter(|_| !others.is_empty()).map(Arc::downgrade) {
            // One may be in the middle of a long turn, or lost.
            tokio::spawn(async move {
                tokio::time::sleep(SWITCHED).await;
                if let Some(done) = done.upgrade() {
                    done.tell();
                }
            });
        }
        for other in others {
            crew.retire(other, &inbox, done.clone());
        }
        if birth == Birth::Extra {
            self.share(crew, number);
        }
        crew.scaled = Some(Instant::now());
        for moving in entry.lot().take_ready() {
            inbox.put(moving);
        }
        drop(done);
        // A version that waits goes first: workers of this one would soon be of no use.
        self.start_next(entry, crew);
        self.keep_some(entry, crew);
    }

    /// A fresh worker is to take over from this one.
    fn replace(&self, entry: &Entry, number: u32, why: Replaced) {
        let mut crew = entry.crew();
        if crew.is_stopping || crew.has(Role::Coming) || crew.count(Role::Draining) >= MAX_DRAINING {
            return;
        }
        let Some(member) = crew.find(number).filter(|member| member.role == Role::Serving) else { return };
        if why == Replaced::Memory && Instant::now() < member.may_be_relieved {
            return;
        }
        let held = member.worker.watch.memory() >> 20;
        match self.start_worker(entry, &mut crew, Birth::Relief) {
            Ok(relief) => {
                relief.relieves = Some(number);
                entry.start().interventions.replaced(why);
                let message = match why {
                    Replaced::Memory => format!("a fresh worker takes over: this one holds {held} MB"),
                    _ => "a fresh worker takes over: the thread of this one has to stay slow".to_owned(),
                };
                self.tell(entry, Level::Info, message);
            }
            Err(error) => self.tell(entry, Level::Error, format!("cannot start a worker's thread: {error}")),
        }
    }

    /// A worker has ended.
    fn ended(&self, entry: &Entry, number: u32, error: Option<&str>) {
        let mut crew = entry.crew();
        let member = crew.remove(number, entry.lot_inbox());
        let was_tried = member.as_ref().is_some_and(|member| member.worker.birth == Birth::Version);
        if was_tried && error.is_some() && crew.members.is_empty() && !crew.is_stopping {
            // The app slept when the version came that cannot be loaded. It sleeps on.
            self.falls_asleep(entry, &mut crew);
            if entry.lot().has_ready() || entry.mail().has_some() {
                entry.tell(Event::Wanted { app: entry.index });
            }
        }
        // What becomes of one that was superseded before it had loaded the app concerns nobody.
        let is_superseded = member.as_ref().is_some_and(|member| member.role == Role::Draining);
        if let Some(error) = error.filter(|_| !is_superseded) {
            // A version that cannot be loaded says nothing of the one that serves.
            if !was_tried {
                let next = Instant::now() + NO_RELIEF;
                crew.no_help_before = Some(next);
                crew.restores = 0;
                crew.members.iter_mut().for_each(|member| member.may_be_relieved = next);
            }
            match member.and_then(|member| member.done) {
                // Who asked for it tells.
                Some(done) => {
                    let _ = done.send(Err(error.to_owned().into()));
                }
                None if entry.outcome.get().is_some() => {
                    let message = format!("the fresh worker cannot take over: {error}");
                    self.tell(entry, Level::Error, message);
                }
                None => {}
            }
        }
        if !crew.is_stopping {
            self.start_next(entry, &mut crew);
        }
    }

    /// A worker is lost. Gives why the process is to be replaced, if it is.
    fn lost(&self, entry: &Entry, number: u32, stop: &Stop) -> Option<String> {
        let mut crew = entry.crew();
        let member = crew.remove(number, entry.lot_inbox())?;
        crew.past.stopped(stop.reason);
        drop(crew);
        if let Some(done) = member.done {
            let _ = done.send(Err(stop.detail.clone().into()));
        }
        let held = member.worker.watch.memory();
        entry.start().interventions.lost(held);
        let message = format!("a worker's thread is lost, with {} MB: {}", held >> 20, stop.detail);
        self.tell(entry, Level::Error, message);
        self.watchdog.ledger().lose(held)
    }

    /// Starts a worker for an app that has none any more, and should have one.
    fn ensure(&self, entry: &Entry) {
        let mut crew = entry.crew();
        let should = !crew.is_stopping && entry.outcome.get().is_some() && !self.has_failed(entry);
        if !should || crew.asleep.is_some() || crew.has(Role::Coming) {
            return;
        }
        if crew.has(Role::Serving) {
            return self.keep_some(entry, &mut crew);
        }
        let wait = crew.losses.another(Instant::now());
        if self.succeed(entry, &mut crew, wait) {
            entry.start().interventions.replaced(Replaced::Lost);
        }
    }

    /// Starts a worker for an app that has none, after so long. Says whether that could be done; if not, it is tried
    /// again.
    fn succeed(&self, entry: &Entry, crew: &mut Crew, wait: Duration) -> bool {
        let not_before = Instant::now() + wait;
        let started = self.start_worker(entry, crew, Birth::Successor { not_before }).map(drop);
        if let Err(error) = &started {
            self.tell(entry, Level::Error, format!("cannot start a worker's thread: {error}"));
            let (events, app) = (entry.start().events.clone(), entry.index);
            tokio::spawn(async move {
                tokio::time::sleep(NO_THREAD).await;
                let _ = events.send(Event::Missing { app });
            });
        }
        started.is_ok()
    }

    fn tell(&self, entry: &Entry, level: Level, message: String) {
        self.logger.host(level, message, [("app", entry.app().name().as_str().into())]);
    }
}

/// Has all workers of an app end; gives for each who resolves once it has, or is lost. If they `stay`, other apps can ask
/// them for something meanwhile.
fn stop(entry: &Entry, control: impl Fn() -> Control, stay: bool) -> Vec<oneshot::Receiver<()>> {
    let mut over = Vec::new();
    let mut crew = entry.crew();
    crew.is_stopping = true;
    crew.wakes();
    crew.next = None;
    for member in &crew.members {
        let control = control();
        // A worker that hands over still serves what is on its way to it.
        if !matches!(control, Control::HandOver) {
            member.worker.inbox.close();
        }
        member.worker.stays.store(stay, Ordering::Relaxed);
        member.worker.command(control);
        over.extend(member.worker.when_over());
    }
    drop(crew);
    entry.lot().close();
    over
}

/// The process is to be replaced; that is told once.
fn spent(why: String, told: &mpsc::UnboundedSender<Told>, is_spent: &mut bool) {
    if !std::mem::replace(is_spent, true) {
        let _ = told.send(Told::Spent(why));
    }
}
