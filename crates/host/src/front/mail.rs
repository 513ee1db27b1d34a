//! The requests of an app on a shared port that no worker has taken so far.
//!
//! Workers take as much as their guests can take at once; the rest stays here, where another worker of the app can take
//! it, and outlasts any of them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use nexus_guest::Failure;

use super::parcel::Parcel;

/// An app's requests on their way to a worker.
#[derive(Debug, Default)]
pub(crate) struct Mail(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    parcels: VecDeque<Arc<Parcel>>,
    /// The workers that wait for one.
    takers: VecDeque<(u32, Waker)>,
    /// How many workers take parcels.
    workers: usize,
}

/// What became of a parcel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Put {
    /// A worker is to take it.
    Done,
    /// The app has no worker: one is wanted.
    Wanted,
    /// As many wait as may.
    Full,
}

impl Mail {
    fn state(&self) -> MutexGuard<'_, State> {
        // Each change leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a parcel, where `most` wait already at most.
    pub(super) fn put(&self, parcel: Arc<Parcel>, most: usize) -> Put {
        let mut state = self.state();
        if state.parcels.len() >= most {
            state.parcels.retain(|parcel| !parcel.is_cancelled());
            if state.parcels.len() >= most {
                return Put::Full;
            }
        }
        state.parcels.push_back(parcel);
        let taker = state.takers.pop_front();
        let put = if state.workers > 0 { Put::Done } else { Put::Wanted };
        drop(state);
        if let Some((_, taker)) = taker {
            taker.wake();
        }
        put
    }

    /// Fails all that wait.
    pub(crate) fn fail_all(&self, failure: &Failure) {
        let parcels = std::mem::take(&mut self.state().parcels);
        for parcel in parcels {
            parcel.fail(failure.clone());
        }
    }

    /// Whether any waits.
    pub(crate) fn has_some(&self) -> bool {
        !self.state().parcels.is_empty()
    }

    /// From now on this worker takes parcels, until it leaves.
    pub(crate) fn attend(self: &Arc<Self>, worker: u32) -> Arc<Attendance> {
        self.state().workers += 1;
        Arc::new(Attendance { mail: self.clone(), worker, has_left: AtomicBool::new(false) })
    }

    fn wake_one(mut state: MutexGuard<'_, State>) {
        let taker = if state.parcels.is_empty() { None } else { state.takers.pop_front() };
        drop(state);
        if let Some((_, taker)) = taker {
            taker.wake();
        }
    }
}

/// A worker that takes parcels.
#[derive(Debug)]
pub(crate) struct Attendance {
    mail: Arc<Mail>,
    worker: u32,
    /// Relaxed: set once, within the mail's lock.
    has_left: AtomicBool,
}

impl Attendance {
    /// Takes up to `most` parcels; waits for one if there is none.
    pub(crate) fn poll_take(&self, most: usize, taken: &mut Vec<Arc<Parcel>>, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.mail.state();
        state.takers.retain(|(worker, _)| *worker != self.worker);
        if state.parcels.is_empty() {
            state.takers.push_back((self.worker, cx.waker().clone()));
            return Poll::Pending;
        }
        let count = state.parcels.len().min(most);
        taken.extend(state.parcels.drain(..count));
        // What is left is for another one.
        Mail::wake_one(state);
        Poll::Ready(())
    }
}

impl Attendance {
    /// The worker takes no more, from any thread. Says whether it leaves parcels behind that nobody takes.
    pub(crate) fn leave(&self) -> bool {
        let mut state = self.mail.state();
        if self.has_left.swap(true, Ordering::Relaxed) {
            return false;
        }
        state.workers = state.workers.saturating_sub(1);
        state.takers.retain(|(worker, _)| *worker != self.worker);
        let is_missed = state.workers == 0 && !state.parcels.is_empty();
        // It may have been woken for one that it did not take.
        Mail::wake_one(state);
        is_missed
    }
}

impl Drop for Attendance {
    fn drop(&mut self) {
        self.leave();
    }
}
