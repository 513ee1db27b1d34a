//! What the watchdog knows of one worker.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nexus_core::Limit;
use nexus_guest::StopReason;

use super::load::Load;
use super::turn::{Grace, Turn};
use crate::ledger::Account;
use crate::worker::Worker;

/// A guest that was told to end counts as about to end for so long.
const ENDING: Duration = Duration::from_millis(500);
/// A guest that did not end although it seemed idle is not taken for idle again for so long.
const NOT_IDLE: Duration = Duration::from_secs(2);

/// What the watchdog knows of one worker.
pub(super) struct Eye {
    pub(super) worker: Arc<Worker>,
    pub(super) activity: u64,
    /// The turn that ran at the last look.
    pub(super) turn: Option<Turn>,
    /// The last turn that was poked.
    pub(super) poked: Option<u64>,
    /// The turn that was slowed down.
    pub(super) slowed: Option<Slowed>,
    /// Whether the thread could not be given its share back.
    pub(super) is_slow: bool,
    /// When it was told to end for the sake of memory.
    pub(super) told: Option<Instant>,
    /// When the host was told last that it should be replaced.
    pub(super) reported: Option<Instant>,
    /// How much it has to do.
    pub(super) load: Load,
}

/// A turn that goes on long after it should have stopped.
pub(super) struct Slowed {
    pub(super) turn: u64,
    /// The share that its thread had before.
    pub(super) share: i32,
    pub(super) grace: Grace,
    /// Why it should have stopped.
    pub(super) reason: StopReason,
    pub(super) limit: Option<Limit>,
}

/// When a worker's turn should have ended, and at which limit.
pub(super) fn should_end(worker: &Worker) -> (Duration, Limit, StopReason) {
    let limits = &worker.app.manifest.limits;
    if worker.watch.memory() > limits.get(Limit::Memory) {
        // Its guest was stopped, as soon as that could be.
        return (Duration::ZERO, Limit::Memory, StopReason::Memory);
    }
    let (cpu, which) = match worker.is_loading.load(Ordering::Relaxed) {
        true => (limits.time(Limit::Startup).max(limits.time(Limit::Cpu)), Limit::Startup),
        false => (limits.time(Limit::Cpu), Limit::Cpu),
    };
    // Nobody takes more CPU time than time passes.
    let wall = limits.time(Limit::Wall);
    if wall < cpu { (wall, Limit::Wall, StopReason::Wall) } else { (cpu, which, StopReason::Cpu) }
}

impl Eye {
    /// A worker that was not looked at so far.
    pub(super) fn new(worker: Arc<Worker>) -> Self {
        Self {
            activity: worker.watch.activity(),
            worker,
            turn: None,
            poked: None,
            slowed: None,
            is_slow: false,
            told: None,
            reported: None,
            load: Load::new(Instant::now()),
        }
    }

    /// The worker, as the ledger sees it.
    pub(super) fn account(&self, now: Instant) -> Account {
        let worker = &self.worker;
        let since_told = self.told.map(|told| now.duration_since(told));
        Account {
            memory: worker.watch.memory(),
            is_idle: self.turn.is_none()
                && worker.in_flight.load(Ordering::Relaxed) == 0
                && since_told.is_none_or(|since| since >= NOT_IDLE),
            is_ending: since_told.is_some_and(|since| since < ENDING),
        }
    }
}
