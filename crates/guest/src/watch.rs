//! What is known about a worker from outside its thread, and how it is reached there.
//!
//! A guest that computes does not return to its event loop. So what it does and holds is kept where other threads
//! see it, and there is a way to have it look at its limits in the middle of a turn:
//!
//! ```text
//! worker's thread                      other threads (the host's watchdog, its ledger)
//! ---------------                      -----------------------------------------------
//! Watch::begin_turn, end_turn  ──►     Watch::turn: the same one as at the last look?
//! Watch::set_memory            ──►     Watch::memory
//! Stopper::poke: looks at its  ◄──     Watch::poke, of a turn that takes long
//!   limits, stops itself
//! ```
//!
//! On the way of a request stand two stores a turn, by one thread, and nothing else.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::{StopReason, Stopper};

/// A worker, as other threads see it. Made by the host, once for each worker's thread.
#[derive(Default)]
pub struct Watch {
    /// Goes up at each turn's begin and end: odd within a turn.
    turns: AtomicU64,
    /// Stands for `turns` where somebody keeps the counter beyond the process's death.
    kept: Option<&'static AtomicU64>,
    /// What the guest holds, in bytes.
    memory: AtomicU64,
    stopper: Mutex<Option<Arc<dyn Stopper>>>,
    thread: OnceLock<i32>,
}

// Orderings: `turns` and `memory` are figures that guard no other memory, so relaxed is enough; a look that comes a
// little late sees a turn as running that has just ended, and poking it then does nothing.
impl Watch {
    /// A worker that has no guest.
    pub fn new() -> Self {
        Self::default()
    }

    /// A worker that has no guest, whose turns are counted there: odd within a turn, even otherwise. The counter is no
    /// other worker's.
    pub fn on(counter: &'static AtomicU64) -> Self {
        Self { kept: Some(counter), ..Self::default() }
    }

    fn turns(&self) -> &AtomicU64 {
        self.kept.unwrap_or(&self.turns)
    }

    /// A turn begins. Only the worker's thread calls it.
    pub fn begin_turn(&self) {
        let turns = self.turns();
        turns.store(turns.load(Ordering::Relaxed).wrapping_add(1) | 1, Ordering::Relaxed);
    }

    /// The turn is over. Only the worker's thread calls it.
    pub fn end_turn(&self) {
        let turns = self.turns();
        turns.store((turns.load(Ordering::Relaxed) | 1).wrapping_add(1), Ordering::Relaxed);
    }

    /// The number of the turn that runs; `None` between turns. Each turn has another number.
    pub fn turn(&self) -> Option<u64> {
        let turns = self.turns().load(Ordering::Relaxed);
        (turns % 2 == 1).then_some(turns)
    }

    /// How many turns were begun and ended so far: a worker whose figure stays has done nothing meanwhile.
    pub fn activity(&self) -> u64 {
        self.turns().load(Ordering::Relaxed)
    }

    /// Notes what the guest holds, in bytes: heap, buffers, WebAssembly memories.
    pub fn set_memory(&self, bytes: u64) {
        self.memory.store(bytes, Ordering::Relaxed);
    }

    /// What the guest held at the last look, in bytes. 0 without a guest.
    pub fn memory(&self) -> u64 {
        self.memory.load(Ordering::Relaxed)
    }

    /// Notes the kernel's number of the current thread, the worker's.
    pub fn set_thread(&self, id: i32) {
        // A worker that starts over does so on the same thread.
        let _ = self.thread.set(id);
    }

    /// The kernel's number of the worker's thread, once it runs.
    pub fn thread(&self) -> Option<i32> {
        self.thread.get().copied()
    }

    /// A guest is there; `stopper` reaches it. The engine says so before any code of the guest runs.
    pub fn attach(&self, stopper: Arc<dyn Stopper>) {
        *self.stopper.lock().unwrap_or_else(PoisonError::into_inner) = Some(stopper);
    }

    /// The guest is gone.
    pub fn detach(&self) {
        *self.stopper.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.set_memory(0);
    }

    /// Has the guest look at its limits in the middle of its turn, if there is one; see [`Stopper::poke`].
    pub fn poke(&self) {
        if let Some(stopper) = self.stopper() {
            stopper.poke();
        }
    }

    /// Stops the guest, if there is one; see [`Stopper::stop`].
    pub fn stop(&self, reason: StopReason) {
        if let Some(stopper) = self.stopper() {
            stopper.stop(reason);
        }
    }

    fn stopper(&self) -> Option<Arc<dyn Stopper>> {
        self.stopper.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch")
            .field("turn", &self.turn())
            .field("memory", &self.memory())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_turn_has_its_own_number() {
        let watch = Watch::new();
        assert_eq!(watch.turn(), None);
        watch.begin_turn();
        let first = watch.turn();
        assert!(first.is_some());
        watch.end_turn();
        assert_eq!(watch.turn(), None);
        watch.begin_turn();
        assert!(watch.turn().is_some() && watch.turn() != first);
    }

    #[test]
    fn turns_are_counted_where_they_are_kept() {
        let counter: &'static AtomicU64 = Box::leak(Box::new(AtomicU64::new(0)));
        let watch = Watch::on(counter);
        watch.begin_turn();
        assert_eq!((counter.load(Ordering::Relaxed) % 2, watch.turn()), (1, Some(watch.activity())));
        watch.end_turn();
        assert_eq!((counter.load(Ordering::Relaxed) % 2, watch.turn()), (0, None));
    }

    #[test]
    fn a_turn_within_a_turn_is_one_turn_and_ends_with_the_inner_one() {
        let watch = Watch::new();
        watch.begin_turn();
        watch.begin_turn();
        assert!(watch.turn().is_some());
        watch.end_turn();
        assert_eq!(watch.turn(), None);
        watch.end_turn();
        assert_eq!(watch.turn(), None);
    }
}
