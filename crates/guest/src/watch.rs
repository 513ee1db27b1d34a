//! What is known about a worker from outside its thread, and how it is reached there.
//!
//! A guest that computes does not return to its event loop. So what it does and holds is kept where other threads
//! see it, and there is a way to have it look at its limits in the middle of a turn:
//!
//! ```text
//! worker's thread                      other threads (the host's watchdog, its ledger)
//! ---------------                      -----------------------------------------------
//! Watch::begin_turn, TurnGuard ──►     Watch::turn: the same one as at the last look?
//! Watch::set_memory            ──►     Watch::memory
//! Stopper::poke: looks at its  ◄──     Watch::poke, of a turn that takes long
//!   limits, stops itself
//! TurnGuard: sleeps for good   ◄──     Watch::give_up, of a turn that does not look
//! ```
//!
//! On the way of a request stand a few stores and one compare-exchange a turn, by one thread, and nothing else.
//!
//! # Who has the turn
//!
//! The turn's number goes up at its begin and at its end, so it is odd within a turn. Both its end and its giving up
//! are a compare-exchange away from that odd number, so exactly one of the two happens. Whoever wins has the worker:
//!
//! - The worker's thread, where it ended the turn. Nobody can give that turn up any more.
//! - The other thread, where it gave the turn up. It sees all that the worker's thread wrote before the turn (the begin
//!   is a release, the claim an acquire), and the worker's thread touches nothing of it again: sooner or later it comes
//!   to the turn's end, or to a look, and sleeps there for good.
//!
//! Where somebody keeps the turns beyond the process's death, they are stored there as well, and only by who has the
//! worker. A turn that is given up counts as ended there, and the place may be another worker's afterwards.

use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::{StopReason, Stopper};

/// In the place of a turn's number: the turn was given up, and goes on.
const GIVEN_UP: u64 = u64::MAX;
/// In the place of a turn's number: it was given up, and its thread sleeps for good.
const RESTING: u64 = u64::MAX - 1;

/// A worker, as other threads see it. Made by the host, once for each worker's thread.
#[derive(Default)]
pub struct Watch {
    /// The turn's number, or one of the above. See the module's text.
    turns: AtomicU64,
    /// Where the number stands, too, for somebody who reads it after the process's death.
    kept: Option<&'static AtomicU64>,
    /// What the guest holds, in bytes.
    memory: AtomicU64,
    stopper: Mutex<Option<Arc<dyn Stopper>>>,
    thread: OnceLock<i32>,
}

/// A turn, until this is dropped. If the turn was given up meanwhile, the drop never returns: the thread sleeps for
/// good. So it does where a panic unwinds through it, before the event loop is reached, whose descriptors are not the
/// thread's any more.
#[derive(Debug)]
#[must_use = "the turn is over when it is dropped"]
pub struct TurnGuard<'a>(&'a Watch);

impl Drop for TurnGuard<'_> {
    fn drop(&mut self) {
        if !self.0.end_turn() {
            self.0.rest();
        }
    }
}

// Orderings, where nothing else is said: `turns` and `memory` are figures that guard no other memory, so relaxed is
// enough; a look that comes a little late sees a turn as running that has just ended, and poking it then does nothing.
impl Watch {
    /// A worker that has no guest.
    pub fn new() -> Self {
        Self::default()
    }

    /// A worker that has no guest, whose turns are stored there, too: odd within a turn, even otherwise. Nobody else
    /// stores there while the worker is neither gone nor given up.
    pub fn on(counter: &'static AtomicU64) -> Self {
        Self { kept: Some(counter), ..Self::default() }
    }

    /// A turn begins, and goes on until the guard is dropped. A turn within a turn is one turn, which ends with the
    /// inner one. Only the worker's thread calls it.
    pub fn begin_turn(&self) -> TurnGuard<'_> {
        let turns = self.turns.load(Ordering::Relaxed);
        if turns.is_multiple_of(2) && turns != RESTING {
            self.keep(turns + 1);
            // Release: who gives the turn up sees what was written before it.
            self.turns.store(turns + 1, Ordering::Release);
        }
        TurnGuard(self)
    }

    /// Ends the turn, if there is one, unless it was given up; gives whether that is not so. Only the worker's thread
    /// calls it: the guard does, or who will never return from the turn.
    #[must_use = "a turn that was given up must not go on"]
    pub fn end_turn(&self) -> bool {
        let turns = self.turns.load(Ordering::Relaxed);
        if matches!(turns, GIVEN_UP | RESTING) {
            return false;
        }
        if turns.is_multiple_of(2) {
            return true;
        }
        // Relaxed: nobody takes anything over from a turn that has ended. Nobody but who gives it up interferes.
        let ended =
            self.turns.compare_exchange(turns, turns + 1, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if ended {
            self.keep(turns + 1);
        }
        ended
    }

    fn keep(&self, turns: u64) {
        if let Some(kept) = self.kept {
            kept.store(turns, Ordering::Relaxed);
        }
    }

    /// Gives up the turn with this number, from another thread, unless it has ended: gives whether the worker is the
    /// caller's now. Its guest is had to look a last time, to find that out, and is not reached any more.
    #[must_use = "whose turn is given up has clients that nobody else will answer"]
    pub fn give_up(&self, turn: u64) -> bool {
        // Acquire: pairs with the turn's begin.
        let claimed = turn % 2 == 1
            && turn != GIVEN_UP
            && self.turns.compare_exchange(turn, GIVEN_UP, Ordering::Acquire, Ordering::Relaxed).is_ok();
        if claimed {
            self.keep(0);
            let stopper = self.stopper.lock().unwrap_or_else(PoisonError::into_inner).take();
            // A guest that is looking just now either finds the turn given up, or looks again; see `Stopper::poke`.
            fence(Ordering::SeqCst);
            if let Some(stopper) = stopper {
                stopper.poke();
            }
        }
        claimed
    }

    /// Whether the worker's turn was given up: whoever runs in it is to call [`Watch::rest`] as soon as it can.
    pub fn is_given_up(&self) -> bool {
        matches!(self.turns.load(Ordering::Relaxed), GIVEN_UP | RESTING)
    }

    /// Has the calling thread, the worker's, sleep for good, for its turn was given up.
    pub fn rest(&self) -> ! {
        self.turns.store(RESTING, Ordering::Relaxed);
        loop {
            std::thread::park();
        }
    }

    /// Whether the thread of a worker that was given up sleeps by now.
    pub fn is_resting(&self) -> bool {
        self.turns.load(Ordering::Relaxed) == RESTING
    }

    /// The number of the turn that runs; `None` between turns, and of one that was given up. Each turn has another
    /// number.
    pub fn turn(&self) -> Option<u64> {
        let turns = self.turns.load(Ordering::Relaxed);
        (turns % 2 == 1 && turns != GIVEN_UP).then_some(turns)
    }

    /// How many turns were begun and ended so far: a worker whose figure stays has done nothing meanwhile.
    pub fn activity(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
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

    /// Stops the guest that has this turn, unless it is over; see [`Stopper::stop`]. A guest that is loaded afterwards is
    /// never hit.
    pub fn stop_turn(&self, turn: u64, reason: StopReason) {
        // In this order: another guest is there only after the turn's end, so whoever finds it finds the turn ended.
        let stopper = self.stopper();
        if let Some(stopper) = stopper.filter(|_| self.turn() == Some(turn)) {
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
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;

    /// A worker whose turns are kept, and where.
    fn kept() -> (Arc<Watch>, &'static AtomicU64) {
        let counter: &'static AtomicU64 = Box::leak(Box::new(AtomicU64::new(0)));
        (Arc::new(Watch::on(counter)), counter)
    }

    #[test]
    fn each_turn_has_its_own_number() {
        let watch = Watch::new();
        assert_eq!(watch.turn(), None);
        let turn = watch.begin_turn();
        let first = watch.turn();
        assert!(first.is_some());
        drop(turn);
        assert_eq!(watch.turn(), None);
        let _turn = watch.begin_turn();
        assert!(watch.turn().is_some() && watch.turn() != first);
    }

    #[test]
    fn turns_are_counted_where_they_are_kept() {
        let (watch, counter) = kept();
        let turn = watch.begin_turn();
        assert_eq!((counter.load(Ordering::Relaxed) % 2, watch.turn()), (1, Some(watch.activity())));
        drop(turn);
        assert_eq!((counter.load(Ordering::Relaxed) % 2, watch.turn()), (0, None));
    }

    #[test]
    fn a_turn_within_a_turn_is_one_turn_and_ends_with_the_inner_one() {
        let watch = Watch::new();
        let outer = watch.begin_turn();
        let inner = watch.begin_turn();
        assert!(watch.turn().is_some());
        drop(inner);
        assert_eq!(watch.turn(), None);
        drop(outer);
        assert_eq!(watch.turn(), None);
    }

    #[test]
    fn only_the_running_turn_can_be_given_up_and_only_once() {
        let (watch, counter) = kept();
        assert!(!watch.give_up(0) && !watch.give_up(1));
        drop(watch.begin_turn());
        let turn = watch.begin_turn();
        let number = watch.turn().unwrap();
        assert!(!watch.give_up(number - 2) && !watch.is_given_up());
        assert!(watch.give_up(number) && watch.is_given_up());
        assert_eq!((watch.turn(), counter.load(Ordering::Relaxed) % 2), (None, 0));
        assert!(!watch.give_up(number) && !watch.give_up(watch.activity()));
        // What the place's next worker stores there stays.
        counter.store(7, Ordering::Relaxed);
        assert!(!watch.end_turn());
        let inner = watch.begin_turn();
        assert!(!watch.end_turn() && watch.is_given_up() && !watch.is_resting());
        assert_eq!(counter.load(Ordering::Relaxed), 7);
        std::mem::forget((turn, inner));
    }

    #[derive(Default)]
    struct Told {
        stops: AtomicU64,
        pokes: AtomicU64,
    }

    impl Stopper for Told {
        fn stop(&self, _: StopReason) {
            self.stops.fetch_add(1, Ordering::Relaxed);
        }

        fn poke(&self) {
            self.pokes.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_turn_that_is_over_is_not_stopped_and_one_that_was_given_up_is_not_reached() {
        let (watch, told) = (Watch::new(), Arc::new(Told::default()));
        watch.attach(told.clone());
        let figures = || (told.stops.load(Ordering::Relaxed), told.pokes.load(Ordering::Relaxed));
        drop(watch.begin_turn());
        watch.stop_turn(1, StopReason::Cpu);
        let turn = watch.begin_turn();
        watch.stop_turn(1, StopReason::Cpu);
        assert_eq!(figures(), (0, 0));
        watch.stop_turn(3, StopReason::Cpu);
        assert_eq!(figures(), (1, 0));
        assert!(watch.give_up(3));
        assert_eq!(figures(), (1, 1), "it looks a last time");
        watch.poke();
        watch.stop(StopReason::Host);
        watch.stop_turn(3, StopReason::Cpu);
        assert_eq!(figures(), (1, 1));
        std::mem::forget(turn);
    }

    #[test]
    fn a_thread_whose_turn_was_given_up_sleeps_at_the_turns_end_even_if_it_panics() {
        for panics in [false, true] {
            let (watch, _) = kept();
            let (tell, told) = channel();
            let (end, ends) = channel::<()>();
            let own = watch.clone();
            // It stays to the process's end.
            std::thread::spawn(move || {
                let _after = tell.clone();
                let _turn = own.begin_turn();
                tell.send("begun").unwrap();
                ends.recv().unwrap();
                assert!(!panics, "on purpose");
                drop(_turn);
                tell.send("beyond").unwrap();
            });
            assert_eq!(told.recv().unwrap(), "begun");
            assert!(watch.give_up(watch.turn().unwrap()) && !watch.is_resting());
            end.send(()).unwrap();
            while !watch.is_resting() {
                std::thread::sleep(Duration::from_millis(1));
            }
            // Neither did it go on, nor was anything below the turn unwound.
            assert_eq!(told.try_recv(), Err(std::sync::mpsc::TryRecvError::Empty));
        }
    }

    #[test]
    fn a_turn_either_ends_or_is_given_up_and_what_came_before_it_is_seen() {
        const ROUNDS: u64 = 500;
        let mut ends = 0;
        for round in 1..=ROUNDS {
            let (watch, counter) = kept();
            let before = AtomicU64::new(0);
            let both = std::sync::Barrier::new(2);
            let (ended, given_up) = std::thread::scope(|scope| {
                let worker = scope.spawn(|| {
                    both.wait();
                    before.store(round, Ordering::Relaxed);
                    let turn = watch.begin_turn();
                    (0..round % 512).for_each(|_| std::hint::spin_loop());
                    std::mem::forget(turn);
                    watch.end_turn()
                });
                let claimer = scope.spawn(|| {
                    both.wait();
                    while watch.activity() == 0 {
                        std::hint::spin_loop();
                    }
                    let claimed = watch.turn().is_some_and(|turn| watch.give_up(turn));
                    assert!(!claimed || before.load(Ordering::Relaxed) == round);
                    claimed
                });
                (worker.join().unwrap(), claimer.join().unwrap())
            });
            assert_ne!(ended, given_up, "round {round}");
            assert_eq!(watch.is_given_up(), given_up);
            assert_eq!(counter.load(Ordering::Relaxed) % 2, 0);
            ends += u64::from(ended);
        }
        println!("{ends} of {ROUNDS} ended");
    }
}
