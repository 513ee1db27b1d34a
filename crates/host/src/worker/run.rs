//! A worker's thread: its event loop, and its guest's life.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::future::{Either, FutureExt, select};
use nexus_core::Limit;
use nexus_guest::{Engine, Guest, Level, Stop, StopReason};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, LocalSet};

use super::drive::{
    Commanded, commanded, ended, let_answers_out, let_connections_move, tell_when_idle, until_stopped,
};
use super::load::{give_memory_back, load};
use super::mail::serve_mail;
use super::round::CONNECTIONS;
use super::service::{Place, WorkerService};
use super::serving::{accept, server, service};
use super::stack;
use super::{Birth, Control, Event, Panic, Start, Worker};
use crate::http::{Inbox, Shutdown};
use crate::metrics::Shortage;
use crate::watchdog::Presence;

/// After a failure to load a guest anew, the next attempt waits this long, doubled each time up to the maximum.
const MIN_BACK_OFF: Duration = Duration::from_millis(100);
const MAX_BACK_OFF: Duration = Duration::from_secs(30);
/// A guest that ends within this time after it was loaded ended early.
const EARLY: Duration = Duration::from_secs(1);
/// While the process has no memory for a guest, it is asked again this often.
const ROOM: Duration = Duration::from_millis(100);
/// The first time after so long: what the guest before held may not be known to be gone yet.
const FIRST_ROOM: Duration = Duration::from_millis(10);

/// How a worker's serving comes to its end.
#[derive(Debug, Clone)]
pub(super) enum Told {
    /// Others serve, or nobody for want of requests; connections go on there.
    Retire(Inbox),
    /// Another process has taken over.
    HandOver,
    /// The host stops.
    Stop,
}

/// Why there is to be another guest.
enum Over {
    /// The one before was stopped.
    Stopped(Stop),
    /// It has served its request, and each has a guest of its own.
    Served,
}

/// Why there is no guest.
enum End {
    Told(Told),
    /// The app cannot be loaded; the user is to read this.
    Failed(String),
}

/// What a worker knows beyond a panic of its event loop.
#[derive(Default)]
struct Past {
    /// Whether the host knows that the worker serves.
    is_announced: bool,
    /// Set once the worker is to end.
    told: Option<Told>,
}

/// How many threads of a worker may be within calls that block, a guest's file operations say. They end when idle.
const BLOCKING: usize = 4;

/// Runs a worker to its end. A panic in the host's own code ends the guest and its connections; the worker starts
/// over.
pub(super) fn thread(start: &Start, worker: &Arc<Worker>, mut commands: mpsc::UnboundedReceiver<Control>) {
    worker.figures.started();
    #[cfg(target_os = "linux")]
    worker.watch.set_thread(rustix::thread::gettid().as_raw_nonzero().get());
    let presence = start.watchdog.add(worker);
    let mut past = Past::default();
    let error = loop {
        presence.awake();
        let run =
            catch_unwind(AssertUnwindSafe(|| event_loop(start, worker, &presence, &mut commands, &mut past)));
        match run {
            Ok(Ok(())) => break None,
            Ok(Err(error)) => break Some(error),
            Err(_) => {
                start.logger.host(
                    Level::Error,
                    "a worker's thread panicked and starts over",
                    [("app", start.app.name().as_str().into())],
                );
                worker.stats.stopped(StopReason::Engine);
                presence.asleep();
                std::thread::sleep(MIN_BACK_OFF);
            }
        }
    };
    // What reaches the guest from other threads may hold a waker, with which the event loop's descriptors would stay.
    worker.watch.detach();
    worker.leave();
    worker.tell(Event::Ended { app: worker.index, worker: worker.number, error });
    worker.settle();
}

fn event_loop(
    start: &Start,
    worker: &Arc<Worker>,
    presence: &Presence,
    commands: &mut mpsc::UnboundedReceiver<Control>,
    past: &mut Past,
) -> Result<(), String> {
    if past.told.is_some() {
        return Ok(());
    }
    let (wakes, sleeps) = (presence.clone(), presence.clone());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_io_events_per_tick(CONNECTIONS)
        .max_blocking_threads(BLOCKING)
        .on_thread_unpark(move || wakes.awake())
        .on_thread_park(move || {
            sleeps.asleep();
            stack::give_back();
        })
        .build();
    let runtime = runtime.map_err(|error| format!("cannot start an event loop: {error}"))?;
    let local = LocalSet::new();
    let result = local.block_on(&runtime, work(start, worker, commands, past));
    // Connections that are left hold the guest; they go first.
    drop(local);
    result
}

/// A worker within its event loop.
struct Life<'a> {
    start: &'a Start,
    worker: &'a Arc<Worker>,
    commands: &'a mut mpsc::UnboundedReceiver<Control>,
    past: &'a mut Past,
    service: Rc<WorkerService>,
    shutdown: Shutdown,
    /// The task that accepts and serves connections, once there is one.
    server: Option<JoinHandle<()>>,
}

async fn work(
    start: &Start,
    worker: &Arc<Worker>,
    commands: &mut mpsc::UnboundedReceiver<Control>,
    past: &mut Past,
) -> Result<(), String> {
    let service = Rc::new(service(start, worker)?);
    let own = worker.clone();
    tokio::task::spawn_local(async move { own.arrivals.serve(|| own.asking.wake()).await });
    let mut life = Life { start, worker, commands, past, service, shutdown: Shutdown::new(), server: None };
    let mut wait = Duration::ZERO;
    if let Birth::Successor { not_before } = worker.birth {
        wait = not_before.saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            life.answer_without_guest(Place::Absent);
        }
    }
    let mut early_ends = 0;
    let mut guest = None;
    let told = loop {
        let begun = Instant::now();
        if let Some(engine) = &start.engine {
            guest = match life.guest(engine.as_ref(), wait).await {
                Ok(guest) => Some(guest),
                Err(End::Told(told)) => break told,
                Err(End::Failed(error)) => return Err(error),
            };
        } else {
            life.service.guest_is(Place::Absent);
        }
        life.accept();
        life.announce(begun.elapsed());
        let born = Instant::now();
        let is_served = match life.serve(guest.clone()).await {
            Ok(Over::Stopped(stop)) => {
                ended(&life.service, worker, &stop);
                false
            }
            Ok(Over::Served) => true,
            Err(told) => break told,
        };
        // Whoever comes now waits for the next guest. The old one goes before the new one is made: of two isolates of
        // a thread the younger must go first.
        life.service.guest_is(Place::Loading);
        guest = None;
        worker.watch.detach();
        let told = life.told_by_now();
        if told.is_none() {
            let_answers_out(worker).await;
        }
        worker.in_flight.store(0, Ordering::Relaxed);
        // What came during the guest's last turn counts before connections read their next request.
        if let Some(told) = told {
            break told;
        }
        if !is_served {
            give_memory_back(&start.pool);
        }
        // A guest that ends as soon as it is loaded, again and again, gets no more than its share of loading.
        early_ends = if born.elapsed() < EARLY && !is_served { early_ends + 1 } else { 0 };
        wait = if early_ends > 1 { (MIN_BACK_OFF * early_ends).min(EARLY) } else { Duration::ZERO };
    };
    life.finish(told, guest).await;
    Ok(())
}

impl Life<'_> {
    /// Loads the app, after `wait`, as often as it takes. The worker's first guest is tried once only, unless 503 is to
    /// be answered without one.
    async fn guest(&mut self, engine: &dyn Engine, mut wait: Duration) -> Result<Rc<dyn Guest>, End> {
        let is_first = !self.past.is_announced && !matches!(self.worker.birth, Birth::Successor { .. });
        let mut back_off = MIN_BACK_OFF;
        let mut refusals = 0;
        loop {
            if !wait.is_zero() {
                self.unless_told(tokio::time::sleep(wait)).await?;
            }
            if !self.start.watchdog.ledger().admits_a_guest() {
                refusals += 1;
                wait = if refusals == 1 { FIRST_ROOM } else { ROOM };
                if refusals == 2 {
                    self.refused_memory(is_first)?;
                }
                continue;
            }
            let begun = Instant::now();
            let (start, worker, service) = (self.start, self.worker, self.service.clone());
            match self.unless_told(load(engine, start, worker, &service)).await? {
                Ok(guest) => {
                    worker.stats.cold_start(begun.elapsed());
                    worker.memory_at_start.store(worker.watch.memory(), Ordering::Relaxed);
                    self.service.guest_is(Place::Ready(guest.clone()));
                    return Ok(guest);
                }
                Err(error) if is_first => return Err(End::Failed(error.to_string())),
                Err(error) => {
                    self.service.log(
                        None,
                        Level::Error,
                        format!("the app cannot be loaded any more: {error}"),
                    );
                    self.answer_without_guest(Place::Absent);
                    wait = back_off;
                    back_off = (back_off * 2).min(MAX_BACK_OFF);
                }
            }
        }
    }

    /// The process has no memory for a guest: requests get 503 until it has.
    fn refused_memory(&mut self, is_first: bool) -> Result<(), End> {
        self.worker.interventions.shortage(Shortage::Refused);
        let budget = self.start.watchdog.ledger().budget() >> 20;
        let message = format!("all guests hold {budget} MB, as much as they may: no other is made");
        if is_first && matches!(self.worker.birth, Birth::Relief | Birth::Version | Birth::Extra) {
            // Those before go on.
            return Err(End::Failed(message));
        }
        self.service.log(None, Level::Error, message);
        self.answer_without_guest(Place::NoMemory);
        Ok(())
    }

    fn answer_without_guest(&mut self, place: Place) {
        self.service.guest_is(place);
        self.accept();
    }

    /// Starts to accept connections, once.
    fn accept(&mut self) {
        if self.server.is_some() {
            return;
        }
        let deadlines = self.service.clone();
        self.spawn(async move { deadlines.enforce_deadlines().await });
        let rounds = self.service.clone();
        self.spawn(async move { rounds.serve_rounds().await });
        let attendance = self.start.mail.attend(self.worker.number, self.worker.is_awake.clone());
        self.worker.parcels.attends(attendance.clone());
        let (worker, service) = (self.worker.clone(), self.service.clone());
        let mail = tokio::task::spawn_local(serve_mail(attendance, worker, service, self.shutdown.clone()));
        self.server = Some(if self.start.is_shared {
            mail
        } else {
            let server = server(self.start, self.worker, &self.service, &self.shutdown);
            let accepting = accept(self.start.socket.clone(), server);
            tokio::task::spawn_local(async move {
                accepting.await;
                let _ = mail.await;
            })
        });
    }

    /// Has something done without which the worker cannot go on. It calls the guest's engine: a panic there is the worker's.
    fn spawn(&self, work: impl Future<Output = ()> + 'static) {
        let worker = self.worker.clone();
        tokio::task::spawn_local(async move {
            if let Err(panic) = AssertUnwindSafe(work).catch_unwind().await {
                worker.command(Control::Panicked(Panic(panic)));
            }
        });
    }

    /// Tells the host that the worker serves, once.
    fn announce(&mut self, took: Duration) {
        if !std::mem::replace(&mut self.past.is_announced, true) {
            let (app, worker) = (self.worker.index, self.worker.number);
            self.worker.tell(Event::Serving { app, worker, took });
        }
    }

    /// Does something unless the worker is told to end meanwhile. There is no guest.
    async fn unless_told<T>(&mut self, work: impl Future<Output = T>) -> Result<T, End> {
        let told = pin!(async {
            loop {
                // Nothing gives way without a guest.
                let commanded = commanded(&self.service, &self.shutdown, self.commands, None, self.worker);
                if let Commanded::End(told) = commanded.await {
                    break told;
                }
            }
        });
        match select(pin!(work), told).await {
            Either::Left((done, _)) => Ok(done),
            Either::Right((told, _)) => {
                self.past.told = Some(told.clone());
                Err(End::Told(told))
            }
        }
    }

    /// Whether the worker was told to end, while nobody listened. There is no guest.
    fn told_by_now(&mut self) -> Option<Told> {
        let commanded = commanded(&self.service, &self.shutdown, self.commands, None, self.worker);
        match commanded.now_or_never() {
            Some(Commanded::End(told)) => {
                self.past.told = Some(told.clone());
                Some(told)
            }
            Some(Commanded::Yield) | None => None,
        }
    }

    /// Serves until the guest has ended or the worker is told to end.
    async fn serve(&mut self, guest: Option<Rc<dyn Guest>>) -> Result<Over, Told> {
        let served = pin!(self.service.served({
            let guest = guest.clone();
            move || guest.as_ref().is_none_or(|guest| guest.in_flight() == 0)
        }));
        let idle = pin!(tell_when_idle(&self.service, guest.clone(), self.worker));
        let stopped = until_stopped(&self.service, &self.shutdown, self.commands, guest, self.worker);
        let beside = pin!(select(idle, served));
        let done = match select(pin!(stopped), beside).await {
            Either::Left((done, _)) => done.map(Over::Stopped),
            Either::Right((Either::Left((never, _)), _)) => match never {},
            Either::Right((Either::Right(((), _)), _)) => Ok(Over::Served),
        };
        self.past.told = done.as_ref().err().cloned();
        done
    }

    /// Finishes what is in flight: connections first, then what `waitUntil` keeps. If the worker retires, for as long as
    /// a request may take; if the host stops, the host bounds the time.
    async fn finish(self, told: Told, guest: Option<Rc<dyn Guest>>) {
        let Self { start, worker, commands, service, shutdown, server, .. } = self;
        match &told {
            Told::Retire(inbox) => shutdown.move_to(inbox.clone()),
            // Somebody else accepts: nobody must lose the request that is on its way.
            Told::HandOver => shutdown.drain(),
            Told::Stop => shutdown.begin(),
        }
        service.ends();
        if guest.is_none() {
            // Those leave first that wait for nothing.
            let_connections_move(&service, worker).await;
        }
        let may_ask = matches!(told, Told::Retire(_)) && worker.connections.load(Ordering::Relaxed) > 0;
        let some_wait = may_ask || service.waiting() > 0;
        let guest = match (&guest, &start.engine) {
            // The guest ended before others served: those who wait for the next one wait here.
            (None, Some(engine)) if some_wait => {
                let loaded = load(engine.as_ref(), start, worker, &service).await.ok();
                if let Some(guest) = &loaded {
                    service.guest_is(Place::Ready(guest.clone()));
                }
                loaded
            }
            _ => guest,
        };
        if guest.is_none() {
            // Nobody will come for those who wait.
            service.guest_is(Place::Absent);
        }
        let work = finished(start, &service, &shutdown, worker, commands, server, guest);
        match told {
            Told::Stop | Told::HandOver => {
                work.await;
            }
            Told::Retire(_) => {
                let time = start.app.manifest.limits.time(Limit::Wall) + start.config.shutdown.grace;
                if tokio::time::timeout(time, work).await.is_err() {
                    let message = "what a worker still had in flight when it retired is cut off";
                    service.log(None, Level::Warn, message.into());
                }
            }
        }
        service.guest_is(Place::Absent);
    }
}

async fn finished(
    start: &Start,
    service: &Rc<WorkerService>,
    shutdown: &Shutdown,
    worker: &Arc<Worker>,
    commands: &mut mpsc::UnboundedReceiver<Control>,
    server: Option<JoinHandle<()>>,
    mut guest: Option<Rc<dyn Guest>>,
) {
    let mut server = pin!(async {
        if let Some(server) = server {
            let _ = server.await;
        }
    });
    loop {
        // What looks at the guest must be gone before the next one is made: of two isolates of a thread the younger must
        // go first.
        let next = {
            let own = guest.clone();
            let is_over = move || own.as_ref().is_some_and(|guest| guest.in_flight() == 0);
            let served = pin!(service.served(is_over));
            let stopped = pin!(until_stopped(service, shutdown, commands, guest.clone(), worker));
            match select(pin!(select(server.as_mut(), served)), stopped).await {
                Either::Left((Either::Left(_), _)) => break,
                Either::Left((Either::Right(_), _)) => Some(Over::Served),
                Either::Right((Ok(stop), _)) => Some(Over::Stopped(stop)),
                // It is ending already.
                Either::Right((Err(_), _)) => None,
            }
        };
        match next {
            // Those who wait have a guest of their own each, too.
            Some(Over::Served) => {
                service.guest_is(Place::Loading);
                guest = None;
                let_answers_out(worker).await;
                worker.watch.detach();
                if let Some(engine) = &start.engine {
                    guest = load(engine.as_ref(), start, worker, service).await.ok();
                }
                service.guest_is(guest.clone().map_or(Place::Absent, Place::Ready));
            }
            // The guest has ended, and with it all that it had in flight; but not those who wait for the next one.
            Some(Over::Stopped(stop)) => {
                ended(service, worker, &stop);
                service.guest_is(Place::Loading);
                guest = None;
                let_answers_out(worker).await;
                worker.watch.detach();
                if let Some(engine) = start.engine.as_ref().filter(|_| service.waiting() > 0) {
                    guest = load(engine.as_ref(), start, worker, service).await.ok();
                }
                service.guest_is(guest.clone().map_or(Place::Absent, Place::Ready));
            }
            None => {}
        }
    }
    if let Some(guest) = guest {
        let is_done = pin!(poll_fn(|_| match guest.in_flight() {
            0 => Poll::Ready(()),
            _ => Poll::Pending,
        }));
        let stopped = pin!(async {
            loop {
                let stopped = until_stopped(service, shutdown, commands, Some(guest.clone()), worker);
                if let Ok(stop) = stopped.await {
                    break stop;
                }
            }
        });
        // In this order: the guest's loop first, and then a look at what it left.
        if let Either::Left((stop, _)) = select(stopped, is_done).await {
            ended(service, worker, &stop);
        }
    }
}
