//! What goes with a call to a provider: on its way to whoever does the work, and back.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use nexus_guest::{Answer, Called, Capability, CapabilityError, CapabilitySink, Hold, NoHold, RequestId};

use crate::slot::{Inside, Slot};

/// What goes with a call to whoever does the work.
pub struct Work {
    /// What the call holds of its guest's memory: to be dropped when the answer was taken, or nobody wants it.
    pub hold: Box<dyn Hold>,
    /// Shows that the call is under way: to be dropped when the work is done.
    pub inside: Inside,
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work").finish_non_exhaustive()
    }
}

impl Work {
    /// Counted nowhere: for tests.
    pub fn free() -> Self {
        Self { hold: Box::new(NoHold), inside: Inside::nowhere() }
    }
}

/// A call that was made: what came of it is told and counted.
pub(crate) struct Made<E: ?Sized> {
    capability: Capability,
    operation: &'static str,
    slot: Arc<Slot<E>>,
    sink: Rc<dyn CapabilitySink>,
    caller: Option<RequestId>,
    began: Instant,
}

impl<E: ?Sized + Send + Sync + 'static> Made<E> {
    /// A call that is made now.
    pub(crate) fn new(
        capability: Capability,
        operation: &'static str,
        slot: &Arc<Slot<E>>,
        sink: &Rc<dyn CapabilitySink>,
        caller: Option<RequestId>,
    ) -> Self {
        let (slot, sink, began) = (slot.clone(), sink.clone(), Instant::now());
        Self { capability, operation, slot, sink, caller, began }
    }

    /// The answer, of which is told what it comes to.
    pub(crate) fn finish<T: 'static>(self, answer: Answer<T>) -> Answer<T> {
        match answer {
            Answer::Now(result) => Answer::Now(self.over(result)),
            Answer::Later(later) => Answer::Later(Box::pin(async move { self.over(later.await) })),
        }
    }

    /// It is over.
    pub(crate) fn over<T>(&self, result: Result<T, CapabilityError>) -> Result<T, CapabilityError> {
        let (provider, sink) = (self.slot.name(), &self.sink);
        let error = result.as_ref().err();
        match error {
            Some(CapabilityError::Denied(denied)) => sink.denied(self.caller, denied),
            Some(CapabilityError::Failed { detail, .. }) => {
                self.slot.failed();
                sink.failed(self.caller, &format!("the provider `{provider}` failed: {detail}"));
            }
            Some(error @ CapabilityError::TimedOut(..)) => {
                self.slot.failed();
                sink.failed(self.caller, &error.to_string());
            }
            _ => {}
        }
        let (capability, operation, took) = (self.capability, self.operation, self.began.elapsed());
        sink.called(Called { capability, provider, operation, error, took });
        result
    }
}
