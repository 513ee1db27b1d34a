//! What has apps do something without a request: the times of `[triggers] cron`.
//!
//! ```text
//! Schedule (times, pure) ── due ─► Triggers: is the run before it over? ── Deliver ─► a worker: a request with
//!     ▲                                │  no: skipped, counted, told              Event::Scheduled
//!     └── the clock, 30 s at most      └── done ◄──────────────────────────────── 204, or a Failure
//! ```
//!
//! - Times are UTC. A run is due at the start of its minute.
//! - What was missed while no host was there is not made up for. Where the clock jumps ahead, or the machine slept, the
//!   missed times of a pattern become one run, for the latest of them.
//! - Where the clock is set back no time is run twice: a pattern goes on with the first time after its last run.
//! - While a run of the same app and pattern goes on, the next one is skipped, counted, and told in the log.
//! - During a take-over one of the two processes fires: the one that leaves has the [`Right`] until it begins to drain. A run
//!   that goes on there is not known to the other one, which does not skip for it.
//! - A run is a request with the app's limits: `cpu` as ever, and `wall` bounds it in total, for its answer comes when the
//!   work is done. It waits in the same queues as other requests do, and wakes an app that sleeps.

mod delivery;
mod right;
mod runs;
mod schedule;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nexus_core::{AppName, CronPattern, format_time};
use nexus_guest::{Failure, FailureKind, Scheduled};
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;

pub(crate) use self::delivery::FromInside;
pub(crate) use self::right::Right;
pub(crate) use self::runs::Last;
use self::runs::Runs;
use self::schedule::{Due, Schedule};
use crate::crew::Registry;
use crate::log::{Logger, now_millis};
use crate::metrics::Scheduling;

/// So long is slept at most: the clock may be set meanwhile.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
/// How often a host that takes over asks for the right to fire.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// What came of a run.
pub(crate) type Outcome = Result<(), Failure>;

/// Hands events to workers.
pub(crate) trait Deliver: Send + Sync + 'static {
    /// Has a worker of the app handle the event, and starts one if there is none; `done` is told what came of it, on any
    /// thread. Dropped unheard it says that the run was stopped. Does not wait.
    fn deliver(&self, app: &AppName, event: Arc<Scheduled>, done: Box<dyn FnOnce(Outcome) + Send>);
}

/// An app with triggers.
#[derive(Debug, Clone)]
pub(crate) struct Triggered {
    pub(crate) app: AppName,
    pub(crate) cron: Vec<CronPattern>,
    /// Whether it takes events now: it was not stopped, and can be served.
    pub(crate) is_ready: bool,
}

/// The apps of a host, as far as their triggers go.
pub(crate) trait Apps: Send + Sync + 'static {
    /// All that have triggers.
    fn triggered(&self) -> Vec<Triggered>;

    /// Counts a run.
    fn count(&self, app: &AppName, what: Scheduling);
}

impl Apps for Registry {
    fn triggered(&self) -> Vec<Triggered> {
        let triggered = |entry: Arc<crate::crew::Entry>| {
            let app = entry.app();
            let cron = app.manifest.triggers.cron.clone();
            let is_ready = !entry.is_paused() && entry.may_serve();
            (!cron.is_empty()).then(|| Triggered { app: app.name().clone(), cron, is_ready })
        };
        self.all().into_iter().filter_map(triggered).collect()
    }

    fn count(&self, app: &AppName, what: Scheduling) {
        if let Some(entry) = self.all().iter().find(|entry| entry.app().name() == app) {
            entry.start().interventions.scheduled(what);
        }
    }
}

/// What fires the triggers of a host's apps.
pub(crate) struct Triggers {
    shared: Arc<Shared>,
    firing: Mutex<Option<AbortHandle>>,
}

struct Shared {
    apps: Arc<dyn Apps>,
    deliver: Box<dyn Deliver>,
    logger: Logger,
    runs: Mutex<Runs>,
    /// Told when there may be another app, or another version of one.
    changed: Arc<Notify>,
    has_ended: AtomicBool,
}

/// What came of a run that somebody asked for.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) result: Result<(), String>,
    pub(crate) took: Duration,
}

/// Why a run is not begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotRun {
    /// One of the same pattern goes on.
    GoesOn,
    /// The host ends.
    Ends,
}

impl Triggers {
    /// Triggers that nobody fires until [`Triggers::begin`]. `changed` is told when there may be other apps.
    pub(crate) fn new(
        apps: Arc<dyn Apps>,
        deliver: Box<dyn Deliver>,
        changed: Arc<Notify>,
        logger: Logger,
    ) -> Self {
        let (runs, has_ended) = (Mutex::default(), AtomicBool::new(false));
        let shared = Arc::new(Shared { apps, deliver, logger, runs, changed, has_ended });
        Self { shared, firing: Mutex::default() }
    }

    /// Fires from now on, as soon as no other process does. Within a tokio runtime.
    pub(crate) fn begin(&self, right: Right) {
        let task = tokio::spawn(fire(self.shared.clone(), right));
        *self.firing.lock().unwrap_or_else(PoisonError::into_inner) = Some(task.abort_handle());
    }

    /// Fires no more, and lets another process do so. What goes on goes on.
    pub(crate) fn end(&self) {
        self.shared.has_ended.store(true, Ordering::Relaxed);
        if let Some(task) = self.firing.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // The right goes with it.
            task.abort();
        }
    }

    /// Runs a trigger now, as of `time`. Gives who is told what came of it.
    ///
    /// # Errors
    /// When a run of this pattern goes on, or the host ends.
    pub(crate) fn run(
        &self,
        app: &AppName,
        cron: &CronPattern,
        time: u64,
    ) -> Result<oneshot::Receiver<Ran>, NotRun> {
        if self.shared.has_ended.load(Ordering::Relaxed) {
            return Err(NotRun::Ends);
        }
        let (told, heard) = oneshot::channel();
        let due = Due { app: app.clone(), cron: cron.clone(), time };
        match self.shared.start(due, Some(told)) {
            true => Ok(heard),
            false => Err(NotRun::GoesOn),
        }
    }

    /// All apps that have triggers.
    pub(crate) fn triggered(&self) -> Vec<Triggered> {
        self.shared.apps.triggered()
    }

    /// The last run of a pattern that is over.
    pub(crate) fn last(&self, app: &AppName, cron: &CronPattern) -> Option<Last> {
        self.shared.runs().last(app, cron)
    }
}

impl Drop for Triggers {
    fn drop(&mut self) {
        self.end();
    }
}

/// Fires what is due, for ever.
async fn fire(shared: Arc<Shared>, right: Right) {
    let _taken = loop {
        if let Some(taken) = right.take() {
            break taken;
        }
        tokio::time::sleep(ASK_AGAIN).await;
    };
    let mut schedule = Schedule::new(now_millis());
    loop {
        let wait = catch_unwind(AssertUnwindSafe(|| shared.step(&mut schedule, now_millis())));
        let wait = wait.unwrap_or(LONGEST_SLEEP);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = shared.changed.notified() => {}
        }
    }
}

impl Shared {
    fn runs(&self) -> MutexGuard<'_, Runs> {
        // Each change leaves it whole.
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fires what is due by now; gives how long nothing else is.
    fn step(self: &Arc<Self>, schedule: &mut Schedule, now: u64) -> Duration {
        if self.has_ended.load(Ordering::Relaxed) {
            return LONGEST_SLEEP;
        }
        let all = self.apps.triggered();
        self.runs().keep(&all);
        let ready = all.iter().filter(|app| app.is_ready);
        schedule.set(ready.flat_map(|app| app.cron.iter().map(|cron| (&app.app, cron))), now);
        for due in schedule.due(now) {
            self.start(due, None);
        }
        let wait =
            schedule.next().map_or(LONGEST_SLEEP, |next| Duration::from_millis(next.saturating_sub(now)));
        wait.clamp(Duration::from_millis(1), LONGEST_SLEEP)
    }

    /// Begins a run, unless one of the same pattern goes on. Says whether it did.
    fn start(self: &Arc<Self>, due: Due, told: Option<oneshot::Sender<Ran>>) -> bool {
        let Due { app, cron, time } = due;
        if !self.runs().begin(&app, &cron) {
            if told.is_none() {
                self.apps.count(&app, Scheduling::Skipped);
                let message = format!(
                    "the run of `{cron}` at {} is skipped: the one before it still goes on",
                    format_time(time)
                );
                self.warn(&app, message);
            }
            return false;
        }
        let event = Arc::new(Scheduled { cron: cron.as_str().into(), time });
        let run = Run { shared: self.clone(), app, cron, time, begun: Instant::now(), told, is_over: false };
        let app = run.app.clone();
        self.deliver.deliver(&app, event, Box::new(move |outcome| run.over(outcome)));
        true
    }

    fn warn(&self, app: &AppName, message: String) {
        self.logger.host(nexus_guest::Level::Warn, message, [("app", app.to_string().into())]);
    }
}

/// A run that goes on. Dropped, it was stopped.
struct Run {
    shared: Arc<Shared>,
    app: AppName,
    cron: CronPattern,
    time: u64,
    begun: Instant,
    told: Option<oneshot::Sender<Ran>>,
    is_over: bool,
}

impl Run {
    fn over(mut self, outcome: Outcome) {
        self.finish(outcome);
    }

    fn finish(&mut self, outcome: Outcome) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        let (took, time) = (self.begun.elapsed(), self.time);
        let result = outcome.clone().map_err(|failure| text(&failure));
        self.shared.runs().end(&self.app, &self.cron, Last { time, result: result.clone(), took });
        self.shared.apps.count(&self.app, if result.is_ok() { Scheduling::Ok } else { Scheduling::Failed });
        if let Err(failure) = outcome
            && !is_told(failure.kind)
        {
            let (cron, time, why) = (&self.cron, format_time(time), text(&failure));
            self.shared.warn(&self.app, format!("the run of `{cron}` at {time} failed: {why}"));
        }
        if let Some(told) = self.told.take() {
            // Whoever asked may have gone.
            let _ = told.send(Ran { result, took });
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.finish(Err(FailureKind::Stopped.into()));
    }
}

/// A failure's text; it says nothing of requests.
fn text(failure: &Failure) -> String {
    match failure.kind {
        FailureKind::NoHandler => "the app's default export has no `scheduled` handler".to_owned(),
        FailureKind::Threw => "the app's `scheduled` handler failed; the app's log has why".to_owned(),
        FailureKind::Hung => "the app's `scheduled` handler would never have ended".to_owned(),
        FailureKind::Stopped => "the app was stopped meanwhile".to_owned(),
        _ => failure.to_string(),
    }
}

/// Whether whoever knew why has told the log.
fn is_told(kind: FailureKind) -> bool {
    match kind {
        FailureKind::Threw
        | FailureKind::NotAResponse
        | FailureKind::Hung
        | FailureKind::Stopped
        | FailureKind::TimedOut => true,
        FailureKind::NotFound
        | FailureKind::NoHandler
        | FailureKind::Unavailable
        | FailureKind::NoMemory
        | FailureKind::Overloaded => false,
    }
}

#[cfg(test)]
mod tests;
