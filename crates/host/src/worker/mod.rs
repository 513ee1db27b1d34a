//! A worker: one thread, one event loop, one guest.
//!
//! ```text
//! thread ── LocalSet ─┬─ connections (http::serve) ──► WorkerService ──► Guest::request
//!                     ├─ the guest's own loop (Guest::poll): timers, operations
//!                     ├─ deadlines of requests without an answer
//!                     └─ control: report figures, stop
//! ```
//!
//! When a guest ends (it was stopped at a limit, say), its requests in flight fail with 503 and a fresh
//! guest of the same app takes over; the connections stay open, for they are the worker's.

mod deadlines;
mod queue;
mod run;
mod service;

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use nexus_core::{App, HostConfig};
use nexus_guest::{Engine, Stop, Watch};
use tokio::sync::{mpsc, oneshot};

use crate::listen::Bound;
use crate::log::Logger;
use crate::metrics::{AppStats, WorkerStats};

/// What a worker's thread is started with.
pub(crate) struct Start {
    pub(crate) app: Arc<App>,
    /// The worker's number, unique in the process.
    pub(crate) number: u32,
    /// What runs the app's code; `None` for an app of static files only.
    pub(crate) engine: Option<Arc<dyn Engine>>,
    pub(crate) socket: Arc<Bound>,
    pub(crate) config: Arc<HostConfig>,
    /// The app's variables, those of the host's `--env-file` included.
    pub(crate) env: Vec<(String, String)>,
    pub(crate) logger: Logger,
    pub(crate) app_stats: Arc<AppStats>,
    pub(crate) stats: Arc<WorkerStats>,
    /// Open connections of this worker.
    pub(crate) connections: Arc<AtomicUsize>,
    /// Where blocking work is done.
    pub(crate) pool: tokio::runtime::Handle,
    pub(crate) events: mpsc::UnboundedSender<Event>,
    /// The worker as other threads see it.
    pub(crate) watch: Arc<Watch>,
    /// Set on the worker's thread when it is to end by [`Control::HandOver`].
    pub(crate) hands_over: Cell<bool>,
}

/// What a worker tells the host.
#[derive(Debug)]
pub(crate) enum Event {
    /// Its first guest was loaded: requests are served.
    Serving {
        /// The app's place among the host's.
        app: usize,
        /// From the thread's start to here.
        took: Duration,
    },
    /// Its thread is parked within the engine, for good.
    Lost {
        /// The app's place among the host's.
        app: usize,
        /// Why.
        stop: Stop,
    },
    /// Its first guest could not be loaded: the worker has ended.
    Failed {
        /// The app's place among the host's.
        app: usize,
        /// Why, as the user is to read it.
        error: String,
    },
}

/// What the host tells a worker.
#[derive(Debug)]
pub(crate) enum Control {
    /// Bring the figures up to date.
    Report(oneshot::Sender<()>),
    /// Accept no more, finish what is in flight, end.
    Stop,
    /// Like that; but somebody else goes on accepting, so that clients that are about to send a request lose none.
    HandOver,
}

/// A worker's thread as the host holds it.
pub(crate) struct Worker {
    pub(crate) control: mpsc::UnboundedSender<Control>,
    pub(crate) done: oneshot::Receiver<()>,
}

/// A worker's stack, in bytes. V8 gets a part of it; see its flags.
const STACK: usize = 2 * 1024 * 1024;

/// Starts a worker's thread for the app at `index`.
pub(crate) fn start(index: usize, start: Start) -> std::io::Result<Worker> {
    let (control, commands) = mpsc::unbounded_channel();
    let (ended, done) = oneshot::channel();
    // The kernel keeps 15 bytes of a thread's name.
    let name = start.app.name().as_str().chars().take(15).collect();
    std::thread::Builder::new().name(name).stack_size(STACK).spawn(move || {
        run::thread(index, start, commands);
        // Nobody waits for it but a host that is stopping.
        let _ = ended.send(());
    })?;
    Ok(Worker { control, done })
}
