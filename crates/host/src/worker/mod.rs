//! A worker: one thread, one event loop, one guest.
//!
//! ```text
//! thread ── LocalSet ─┬─ connections (http::serve) ──► WorkerService ──► Guest::request
//!                     ├─ the guest's own loop (Guest::poll): timers, operations
//!                     ├─ deadlines of requests without an answer
//!                     └─ control: report figures, give memory back, retire, stop
//! ```
//!
//! When a guest ends (it was stopped at a limit, say), its requests in flight fail with 503 and a fresh
//! guest of the same app takes over; the connections stay open, for they are the worker's.
//!
//! When its thread can serve no longer, or should not, a fresh worker of the app takes its place, on the same socket;
//! see `crate::crew`.

mod deadlines;
mod drive;
mod hold;
mod load;
mod lost;
mod mail;
mod other;
mod queue;
mod round;
mod run;
mod service;
mod serving;
mod stack;
mod underway;

use self::underway::Underway;
pub(crate) use lost::lose;
pub(crate) use serving::trust;

use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use nexus_core::{App, HostConfig, Limit};
use nexus_guest::{Capabilities, Engine, Grant, Secrets, Stop, Watch};
use tokio::sync::{mpsc, oneshot};

use crate::descriptors::{Connector, Descriptors};
use crate::front::{Arrivals, Mail, Parcels};
use crate::host_env::HostEnv;
use crate::http::{Inbox, OpenConnections};
use crate::inside::{Asking, Inside};
use crate::listen::Bound;
use crate::log::Logger;
use crate::metrics::{AppStats, Interventions, WorkerStats};
use crate::modules::Kept;
use crate::pool::Pool;
use crate::watchdog::Watchdog;

/// What all workers of an app's version are started with.
#[derive(Clone)]
pub(crate) struct Start {
    pub(crate) app: Arc<App>,
    /// The app's place among the host's.
    pub(crate) index: usize,
    /// What runs the app's code; `None` for an app of static files only.
    pub(crate) engine: Option<Arc<dyn Engine>>,
    pub(crate) socket: Arc<Bound>,
    /// Whether others share its socket: all of its requests come by mail.
    pub(crate) is_shared: bool,
    /// Where its requests come from that it accepts from no socket of its own.
    pub(crate) mail: Arc<Mail>,
    /// The way to other apps of the process.
    pub(crate) inside: Arc<Inside>,
    pub(crate) config: Arc<HostConfig>,
    /// Variables for every app, of the host's `--env-file`; they come before those of its manifest.
    pub(crate) env: Vec<(String, String)>,
    /// The host's own variables, of which the app may be granted some, also as secrets.
    pub(crate) host_env: Arc<HostEnv>,
    /// What its bindings are granted, in order.
    pub(crate) grants: Vec<Arc<Grant>>,
    pub(crate) logger: Logger,
    /// What its guests may use of the world.
    pub(crate) capabilities: Arc<dyn Capabilities>,
    /// Where blocking work is done.
    pub(crate) pool: tokio::runtime::Handle,
    pub(crate) events: mpsc::UnboundedSender<Event>,
    pub(crate) watchdog: Arc<Watchdog>,
    /// What the host did about the app's workers.
    pub(crate) interventions: Arc<Interventions>,
    /// Threads that stand ready.
    pub(crate) blanks: Pool,
    /// What keeps the files of a deployed app's version where they are.
    pub(crate) files: Option<Files>,
    /// Its modules, where its folder is watched: the version goes on as it is, whatever becomes of the files.
    pub(crate) kept: Option<Arc<Kept>>,
}

/// Whatever keeps a version's files, as long as anybody has it.
pub(crate) type Files = Arc<dyn Any + Send + Sync>;

/// Why a worker is started, and what becomes of it if the app cannot be loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Birth {
    /// It is the app's first: the app is not served then.
    First,
    /// It is to take over from one that serves: that one goes on then.
    Relief,
    /// It is the first of another version of the app, which takes over from all that serve: they go on then.
    Version,
    /// It is to help those that serve: they go on alone then.
    Extra,
    /// It takes the place of one that is lost, or the app was asleep. It answers 503 until the app is loaded, which it
    /// tries from then on.
    Successor {
        /// When it may load the app.
        not_before: Instant,
    },
}

/// Tells somebody once all have let go of it, or before if need be.
pub(crate) struct OnceAll(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl OnceAll {
    pub(crate) fn new(tell: impl FnOnce() + Send + 'static) -> Self {
        Self(Mutex::new(Some(Box::new(tell))))
    }

    /// Tells it now, if it was not told before.
    pub(crate) fn tell(&self) {
        let tell = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(tell) = tell {
            tell();
        }
    }
}

impl fmt::Debug for OnceAll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnceAll")
    }
}

impl Drop for OnceAll {
    fn drop(&mut self) {
        self.tell();
    }
}

/// What a worker tells the host.
#[derive(Debug)]
pub(crate) enum Event {
    /// Its first guest was loaded: requests are served.
    Serving {
        /// The app's place among the host's.
        app: usize,
        /// The worker's number.
        worker: u32,
        /// From the decision to load it to here.
        took: Duration,
    },
    /// It is near its memory limit: a fresh one should take over.
    Full {
        /// The app's place among the host's.
        app: usize,
        /// The worker's number.
        worker: u32,
    },
    /// Its thread was slowed down for good: a fresh one should take over.
    Slow {
        /// The app's place among the host's.
        app: usize,
        /// The worker's number.
        worker: u32,
    },
    /// It has had no request for the app's `idle` time, or has none and the process is short of memory.
    Idle {
        /// The app's place among the host's.
        app: usize,
        /// The worker's number.
        worker: u32,
        /// Whether the process is short of memory.
        pressed: bool,
    },
    /// An app without a worker is wanted: somebody connects, or sends a request on a connection that is open.
    Wanted {
        /// The app's place among the host's.
        app: usize,
    },
    /// It has had more to do than it can for a while.
    Saturated {
        /// The app's place among the host's.
        app: usize,
    },
    /// It has had little to do for a while.
    Spare {
        /// The app's place among the host's.
        app: usize,
        /// The worker's number.
        worker: u32,
    },
    /// Its thread does not return from a guest's turn, ever.
    Lost {
        /// The app's place among the host's.
        app: usize,
        /// The worker's number.
        worker: u32,
        /// Why.
        stop: Stop,
    },
    /// The process should be replaced: turns that were given up burn or hold more than it should bear, or an engine is
    /// near the end of what it has once for all guests.
    Spent {
        /// The place of an app among the host's that takes part in it.
        app: usize,
        /// Why, in one clause.
        why: String,
    },
    /// The app has no worker, for there was no thread to be had.
    Missing {
        /// The app's place among the host's.
        app: usize,
    },
    /// It has ended.
    Ended {
        /// The app's place among the host's.
        app: usize,
        /// The worker's number.
        worker: u32,
        /// If its first guest could not be loaded, why, as the user is to read it.
        error: Option<String>,
    },
}

impl Event {
    /// The place of the app that it is about, among the host's.
    pub(crate) fn app(&self) -> usize {
        match self {
            Event::Serving { app, .. }
            | Event::Full { app, .. }
            | Event::Slow { app, .. }
            | Event::Idle { app, .. }
            | Event::Wanted { app }
            | Event::Saturated { app }
            | Event::Spare { app, .. }
            | Event::Lost { app, .. }
            | Event::Spent { app, .. }
            | Event::Missing { app }
            | Event::Ended { app, .. } => *app,
        }
    }
}

/// What the host tells a worker.
#[derive(Debug)]
pub(crate) enum Control {
    /// Bring the figures up to date.
    Report(oneshot::Sender<()>),
    /// The process is short of memory: replace the guest by a fresh one, which holds little.
    Yield {
        /// Also if it has requests in flight.
        even_if_busy: bool,
    },
    /// Accept no more, leave the open connections there, finish what is in flight within the time that a request may
    /// take, end.
    Retire(Inbox, Option<Arc<OnceAll>>),
    /// Leave so many of the open connections there.
    Share(Inbox, usize),
    /// Accept no more, finish what is in flight, end.
    Stop(Option<Arc<OnceAll>>),
    /// Like that; but somebody else goes on accepting, so that clients that are about to send a request lose none.
    HandOver,
    /// What the worker cannot do without has panicked, with this: so has the worker.
    Panicked(Panic),
}

/// What a panic says.
pub(crate) struct Panic(pub(crate) Box<dyn std::any::Any + Send>);

impl std::fmt::Debug for Panic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Panic")
    }
}

/// A worker as the rest of the host holds it.
pub(crate) struct Worker {
    pub(crate) app: Arc<App>,
    /// The app's place among the host's.
    pub(crate) index: usize,
    /// The worker's number, unique in the process.
    pub(crate) number: u32,
    pub(crate) birth: Birth,
    /// The worker as the engine shows it to other threads.
    pub(crate) watch: Arc<Watch>,
    pub(crate) stats: Arc<AppStats>,
    pub(crate) figures: WorkerStats,
    pub(crate) interventions: Arc<Interventions>,
    /// How many connections are open.
    pub(crate) connections: Arc<AtomicUsize>,
    /// Its part of the process's descriptors, for connections to others.
    pub(crate) connector: Arc<Connector>,
    /// Where connections come from that other workers have accepted.
    pub(crate) inbox: Inbox,
    /// How many requests wait for a place in the guest, or for the guest.
    pub(crate) waiting: Arc<AtomicUsize>,
    /// Where its requests come from that it accepts from no socket of its own.
    pub(crate) mail: Arc<Mail>,
    /// What it holds of the app's mail.
    pub(crate) parcels: Parcels,
    /// The app's secrets, once it has read them.
    secrets: OnceLock<Arc<Secrets>>,
    /// What it has asked other apps of the process.
    pub(crate) asking: Asking,
    /// Where the answers to that arrive.
    pub(crate) arrivals: Arc<Arrivals>,
    /// Whether it takes requests from inside of the process after it was told to stop, until none can come any more.
    pub(crate) stays: AtomicBool,
    inside: Arc<Inside>,
    /// Its connections and its requests, for whoever must end them when its thread is lost.
    open: Arc<OpenConnections>,
    underway: Arc<Underway>,
    /// Requests whose work is not over, as of the guest's last turn of its loop.
    pub(crate) in_flight: AtomicUsize,
    /// What its guest held once it was loaded, in bytes.
    pub(crate) memory_at_start: AtomicU64,
    /// Whether the app's code is being loaded: it has another CPU limit then.
    pub(crate) is_loading: AtomicBool,
    /// Whether its event loop runs and does not wait; for the watchdog.
    pub(crate) is_awake: Arc<AtomicBool>,
    /// Whether its thread has ended or is lost; for the watchdog.
    pub(crate) has_left: AtomicBool,
    events: mpsc::UnboundedSender<Event>,
    control: mpsc::UnboundedSender<Control>,
    /// Told when nobody need wait for it any more: its thread ends, or is lost.
    over: Mutex<Option<oneshot::Sender<()>>>,
    when_over: Mutex<Option<oneshot::Receiver<()>>>,
}

impl Worker {
    /// Tells the worker to do something. One that has ended, or is lost, does not hear it.
    pub(crate) fn command(&self, control: Control) {
        let _ = self.control.send(control);
    }

    /// Tells the host something about the worker.
    pub(crate) fn tell(&self, event: Event) {
        // A host that is gone need not know.
        let _ = self.events.send(event);
    }

    /// Whether a fresh worker should take the place of this one: it holds 90 % of its limit. Not if it held most of that
    /// from the start, for then a fresh one would, too.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        let limit = self.app.manifest.limits.get(Limit::Memory);
        let memory = self.watch.memory();
        memory > limit / 10 * 9
            && memory.saturating_sub(self.memory_at_start.load(Ordering::Relaxed)) > limit / 4
    }

    /// Resolves when the thread ends or is lost. For one caller only.
    pub(crate) fn when_over(&self) -> Option<oneshot::Receiver<()>> {
        self.when_over.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whether nothing is under way there, as far as can be seen from outside.
    pub(crate) fn is_quiet(&self) -> bool {
        let is_idle = || {
            self.connections.load(Ordering::Relaxed) == 0
                && self.in_flight.load(Ordering::Relaxed) == 0
                && self.mail.length() == 0
                && self.parcels.is_empty()
                && self.asking.is_empty()
        };
        self.has_left.load(Ordering::Relaxed) || is_idle()
    }

    /// Nobody is to look at it any more.
    fn leave(&self) {
        self.has_left.store(true, Ordering::Relaxed);
    }

    /// Nobody need wait for it any more.
    fn settle(&self) {
        if let Some(over) = self.over.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = over.send(());
        }
    }
}

/// A worker's stack, in bytes. V8 gets a part of it; see its flags.
pub(crate) const STACK: usize = 2 * 1024 * 1024;

/// Starts a worker's thread.
pub(crate) fn start(
    start: &Arc<Start>,
    number: u32,
    birth: Birth,
    watch: Arc<Watch>,
) -> std::io::Result<Arc<Worker>> {
    let (control, commands) = mpsc::unbounded_channel();
    let stats: Arc<AppStats> = Arc::default();
    let log = start.logger.app(start.app.name().as_str(), Some(number));
    let (over, when_over) = oneshot::channel();
    // Who is granted something later may open sockets as well, and has a share with the next worker.
    let net = &start.app.manifest.permissions.net;
    let worker = Arc::new(Worker {
        app: start.app.clone(),
        index: start.index,
        number,
        birth,
        watch,
        open: Arc::default(),
        underway: Arc::new(Underway::new(log, start.config.log.access, stats.clone())),
        stats,
        figures: WorkerStats::default(),
        interventions: start.interventions.clone(),
        connections: Arc::default(),
        connector: Descriptors::of_process().connector(!net.is_empty() && net.entries().next().is_some()),
        inbox: Inbox::new(),
        parcels: Parcels::default(),
        secrets: OnceLock::new(),
        asking: Asking::default(),
        arrivals: Arc::default(),
        stays: AtomicBool::new(false),
        inside: start.inside.clone(),
        waiting: Arc::default(),
        in_flight: AtomicUsize::new(0),
        memory_at_start: AtomicU64::new(0),
        is_loading: AtomicBool::new(false),
        is_awake: Arc::new(AtomicBool::new(true)),
        mail: start.mail.clone(),
        has_left: AtomicBool::new(false),
        events: start.events.clone(),
        control,
        over: Mutex::new(Some(over)),
        when_over: Mutex::new(Some(when_over)),
    });
    // The kernel keeps 15 bytes of a thread's name.
    let name: String = start.app.name().as_str().chars().take(15).collect();
    let (own, on_thread) = (worker.clone(), start.clone());
    let job = Box::new(move || run::thread(&on_thread, &own, commands));
    start.blanks.run(&name, start.engine.as_ref(), &start.app.manifest.limits, job)?;
    Ok(worker)
}
