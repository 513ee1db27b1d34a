//! A worker whose thread is lost: its engine parked it for good, or the watchdog has given it up.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use nexus_guest::{Abandon, Failure, FailureKind, Stop, StopReason};

use super::{Event, Worker};
use crate::http::Abandoned;

/// Hears from the engine that it never returns from the running turn.
pub(super) struct Lost(pub(super) Arc<Worker>);

impl Abandon for Lost {
    fn abandon(&self, stop: Stop) {
        // Who has given the turn up just now does the rest, and nobody is to take the worker for one that is executing.
        if self.0.watch.end_turn() {
            lose(&self.0, stop);
        }
    }

    fn worn(&self, why: &str) {
        self.0.tell(Event::Spent { app: self.0.index, why: why.to_owned() });
    }
}

/// Answers the worker's clients, closes its connections, and has the host start another worker for its app. For who
/// has the worker: its thread is in a turn from which it does not return, and nobody else may come here for the same one.
/// Waits for nothing.
pub(crate) fn lose(worker: &Arc<Worker>, stop: Stop) {
    worker.leave();
    let (own, why) = (worker.clone(), stop.clone());
    let thread = std::thread::Builder::new().name("nexus-linger".into());
    if thread.spawn(move || own.answer_for(why).linger()).is_err() {
        // Without a thread to wait on, they are closed at once.
        drop(worker.answer_for(stop));
    }
}

impl Worker {
    fn answer_for(&self, stop: Stop) -> Abandoned {
        let kind = match stop.reason {
            StopReason::Wall => FailureKind::TimedOut,
            _ => FailureKind::Stopped,
        };
        let failure = Failure { kind, limit: stop.limit };
        let answer = || {
            let mut abandoned = self.open.abandon(&failure);
            let (failed, is_missed) = self.parcels.abandon(&failure);
            self.asking.abandon();
            abandoned.answered.extend(failed);
            self.underway.abandon(&abandoned.answered, &failure);
            if is_missed {
                self.tell(Event::Wanted { app: self.index });
            }
            abandoned
        };
        // Whatever happens, the app needs a successor.
        let abandoned = catch_unwind(AssertUnwindSafe(answer)).unwrap_or_default();
        self.tell(Event::Lost { app: self.index, worker: self.number, stop });
        self.settle();
        abandoned
    }
}
