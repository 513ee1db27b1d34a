//! The parcels that a worker has opened, for whoever must answer them when its thread is lost.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nexus_guest::{Failure, FailureKind, RequestId};
use slab::Slab;

use super::mail::Attendance;
use super::parcel::Parcel;

/// What a worker holds of an app's mail. Any thread may end it.
#[derive(Debug, Default)]
pub(crate) struct Parcels(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    open: Slab<Arc<Parcel>>,
    attendance: Option<Arc<Attendance>>,
}

impl Parcels {
    fn state(&self) -> MutexGuard<'_, State> {
        // Each change leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The worker takes parcels, under this name.
    pub(crate) fn attends(&self, attendance: Arc<Attendance>) {
        self.state().attendance = Some(attendance);
    }

    /// Whether it has none.
    pub(crate) fn is_empty(&self) -> bool {
        self.state().open.is_empty()
    }

    /// The worker has this parcel until the guard is dropped, which fails it if it has no answer by then.
    pub(crate) fn hold(&self, parcel: Arc<Parcel>) -> Held<'_> {
        Held { key: self.state().open.insert(parcel.clone()), parcels: self, parcel }
    }

    /// The worker is lost: its requests get `failure`. Gives those that had no answer, and whether it leaves parcels
    /// behind that nobody takes.
    pub(crate) fn abandon(&self, failure: &Failure) -> (Vec<RequestId>, bool) {
        let State { open, attendance } = std::mem::take(&mut *self.state());
        let failed = open.into_iter().map(|(_, parcel)| parcel);
        let failed = failed.filter(|parcel| parcel.fail(failure.clone())).map(|parcel| parcel.id()).collect();
        (failed, attendance.is_some_and(|attendance| attendance.leave()))
    }
}

/// A parcel that a worker has.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    parcels: &'a Parcels,
    key: usize,
    parcel: Arc<Parcel>,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let _parcel = self.parcels.state().open.try_remove(self.key);
        // Whoever had it may have come to an untimely end. The first answer counts.
        if !self.parcel.is_answered()
            && let Some(waker) = self.parcel.answer(Err(FailureKind::Stopped.into()))
        {
            waker.wake();
        }
    }
}
