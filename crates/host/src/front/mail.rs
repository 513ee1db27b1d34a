//! The requests of an app, from a shared port or from inside of the process, that no worker has taken so far.
//!
//! Workers take as much as their guests can take at once; the rest stays here, where another worker of the app can take
//! it, and outlasts any of them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use nexus_guest::Failure;

use super::parcel::Parcel;

/// An app's requests on their way to a worker.
#[derive(Debug, Default)]
pub(crate) struct Mail {
    state: Mutex<State>,
    /// How many parcels there are, for looks without the lock.
    length: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    parcels: VecDeque<Arc<Parcel>>,
    /// The workers that want one. They may be busy with what they have.
    takers: VecDeque<Taker>,
    /// How many workers take parcels.
    workers: usize,
}

#[derive(Debug)]
struct Taker {
    worker: u32,
    is_awake: Arc<AtomicBool>,
    waker: Waker,
}

impl State {
    /// How many wait for something to do.
    fn idle(&self) -> usize {
        self.takers.iter().filter(|taker| !taker.is_awake.load(Ordering::Relaxed)).count()
    }

    /// Of who is to take the next parcel: one that waits for something to do, before one that has something. It stays among
    /// the takers, behind the others, until it comes: whoever is to wake it may be another tenant's thread, which does so late or
    /// never, and the next one who has a parcel does so by itself.
    fn next_taker(&mut self) -> Option<Waker> {
        // Relaxed: a look that comes a little late has another one wait, as without it.
        let idle = self.takers.iter().position(|taker| !taker.is_awake.load(Ordering::Relaxed));
        let taker = self.takers.remove(idle.unwrap_or(0))?;
        let waker = taker.waker.clone();
        self.takers.push_back(taker);
        Some(waker)
    }
}

/// What became of a parcel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Put {
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
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a parcel, where `most` wait already at most. Who is to take it is to be woken by `wake`.
    pub(crate) fn put(&self, parcel: Arc<Parcel>, most: usize, wake: impl FnOnce(Waker)) -> Put {
        let mut state = self.state();
        if state.parcels.len() >= most {
            state.parcels.retain(|parcel| !parcel.is_cancelled());
            if state.parcels.len() >= most {
                return Put::Full;
            }
        }
        state.parcels.push_back(parcel);
        self.counted(&state);
        let taker = state.next_taker();
        let put = if state.workers > 0 { Put::Done } else { Put::Wanted };
        drop(state);
        if let Some(taker) = taker {
            wake(taker);
        }
        put
    }

    /// Fails all that wait.
    pub(crate) fn fail_all(&self, failure: &Failure) {
        let mut state = self.state();
        let parcels = std::mem::take(&mut state.parcels);
        self.counted(&state);
        drop(state);
        for parcel in parcels {
            parcel.fail(failure.clone());
        }
    }

    /// How many wait, or did a moment ago.
    pub(crate) fn length(&self) -> usize {
        self.length.load(Ordering::Relaxed)
    }

    fn counted(&self, state: &State) {
        self.length.store(state.parcels.len(), Ordering::Relaxed);
    }

    /// Whether any waits.
    pub(crate) fn has_some(&self) -> bool {
        !self.state().parcels.is_empty()
    }

    /// From now on this worker takes parcels, until it leaves. Its event loop waits while it is not awake.
    pub(crate) fn attend(self: &Arc<Self>, worker: u32, is_awake: Arc<AtomicBool>) -> Arc<Attendance> {
        self.state().workers += 1;
        Arc::new(Attendance { mail: self.clone(), worker, is_awake, has_left: AtomicBool::new(false) })
    }

    fn wake_one(mut state: MutexGuard<'_, State>) {
        let taker = if state.parcels.is_empty() { None } else { state.next_taker() };
        drop(state);
        if let Some(taker) = taker {
            taker.wake();
        }
    }
}

/// A worker that takes parcels.
#[derive(Debug)]
pub(crate) struct Attendance {
    mail: Arc<Mail>,
    worker: u32,
    is_awake: Arc<AtomicBool>,
    /// Relaxed: set once, within the mail's lock.
    has_left: AtomicBool,
}

impl Attendance {
    /// Takes up to `most` parcels; waits for one if there is none.
    pub(crate) fn poll_take(&self, most: usize, taken: &mut Vec<Arc<Parcel>>, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.mail.state();
        state.takers.retain(|taker| taker.worker != self.worker);
        if state.parcels.is_empty() {
            let (worker, is_awake, waker) = (self.worker, self.is_awake.clone(), cx.waker().clone());
            state.takers.push_back(Taker { worker, is_awake, waker });
            return Poll::Pending;
        }
        // Those that have nothing to do have their part.
        let count = state.parcels.len().div_ceil(state.idle() + 1).min(most);
        taken.extend(state.parcels.drain(..count));
        self.mail.counted(&state);
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
        state.takers.retain(|taker| taker.worker != self.worker);
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
