//! What stops a guest, or has it look at its limits, from any thread.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering, fence};

use futures_util::task::AtomicWaker;
use nexus_guest::{StopReason, Stopper};

/// Stops the guest from any thread.
pub(crate) struct StopHandle {
    isolate: v8::IsolateHandle,
    /// 0, or the reason's number.
    reason: AtomicU8,
    pub(crate) waker: AtomicWaker,
    /// An interrupt is under way: more of them would only queue up.
    interrupted: AtomicBool,
    /// The thread sleeps for good within the isolate, whose locks it may hold.
    parked: AtomicBool,
}

const REASONS: [StopReason; 5] =
    [StopReason::Memory, StopReason::Cpu, StopReason::Wall, StopReason::Host, StopReason::Engine];

impl StopHandle {
    /// For this isolate.
    pub(crate) fn new(isolate: v8::IsolateHandle) -> Self {
        Self {
            isolate,
            reason: AtomicU8::new(0),
            waker: AtomicWaker::new(),
            interrupted: AtomicBool::new(false),
            parked: AtomicBool::new(false),
        }
    }

    /// Breaks off what the isolate is running.
    pub(crate) fn terminate(&self) {
        self.isolate.terminate_execution();
    }

    /// Why the guest is to be stopped, if it is.
    pub(crate) fn requested(&self) -> Option<StopReason> {
        // Acquire pairs with the release in `stop`; nothing else is published by it, but the check is not hot enough to
        // argue for less.
        let number = self.reason.load(Ordering::Acquire);
        REASONS.get(usize::from(number).wrapping_sub(1)).copied()
    }

    /// Has the guest look at its limits as soon as it runs JavaScript.
    pub(crate) fn interrupt(&self) {
        // Relaxed: the flag guards nothing, V8's queue has a lock of its own. An interrupt that is asked for just when
        // another begins is left to the next one.
        if !self.parked.load(Ordering::Relaxed) && !self.interrupted.swap(true, Ordering::Relaxed) {
            // The callback finds the state by the isolate. An isolate that is gone takes no interrupts any more.
            self.isolate.request_interrupt(crate::limits::look, std::ptr::null_mut());
        }
    }

    /// The guest looks: the next interrupt is a new one.
    pub(crate) fn looked(&self) {
        self.interrupted.store(false, Ordering::Relaxed);
        // What this look does not see yet (a turn that is given up just now) asks for another one.
        fence(Ordering::SeqCst);
    }

    /// Leaves the isolate alone from now on.
    pub(crate) fn park(&self) {
        self.parked.store(true, Ordering::Relaxed);
    }
}

impl Stopper for StopHandle {
    fn stop(&self, reason: StopReason) {
        let number = REASONS.iter().position(|r| *r == reason).map_or(1, |index| index as u8 + 1);
        // The first reason stays.
        let _ = self.reason.compare_exchange(0, number, Ordering::AcqRel, Ordering::Acquire);
        if !self.parked.load(Ordering::Relaxed) {
            self.isolate.terminate_execution();
        }
        self.waker.wake();
    }

    fn poke(&self) {
        self.interrupt();
    }
}
