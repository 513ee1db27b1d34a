//! A binding to a namespace: each call passes here, whatever guest it comes from.

use std::rc::Rc;
use std::sync::Arc;

use nexus_core::{Resource, format_byte_size};
use nexus_guest::{
    Answer, CapabilityError, CapabilitySink, Grant, Kv, KvAnswer, KvChange, KvEntry, KvOperation, RequestId,
};

use super::KvEngine;
use crate::slot::Slot;

/// A namespace, as one binding of one worker's guest has it.
pub(crate) struct BoundKv {
    pub(crate) grant: Arc<Grant>,
    pub(crate) slot: Arc<Slot<dyn KvEngine>>,
    /// How many bytes the namespaces of the owner may have together.
    pub(crate) quota: u64,
    pub(crate) sink: Rc<dyn CapabilitySink>,
}

impl Kv for BoundKv {
    fn call(&self, caller: Option<RequestId>, operation: KvOperation) -> Answer<KvAnswer> {
        if let Err(denied) = self.grant.decide(operation.access()) {
            self.sink.denied(caller, &denied);
            return Answer::Now(Err(CapabilityError::Denied(denied)));
        }
        if let Err(why) = within_bounds(&operation) {
            return Answer::Now(Err(CapabilityError::Invalid(why)));
        }
        let (namespace, quota): (Resource, u64) = (self.grant.resource.clone(), self.quota);
        match self.slot.call(move |engine| engine.call(&namespace, quota, operation)) {
            Answer::Now(result) => {
                tell(&*self.sink, caller, self.slot.name(), &result);
                Answer::Now(result)
            }
            Answer::Later(later) => {
                let (sink, slot) = (self.sink.clone(), self.slot.clone());
                Answer::Later(Box::pin(async move {
                    let result = later.await;
                    tell(&*sink, caller, slot.name(), &result);
                    result
                }))
            }
        }
    }
}

/// Tells what the host's log should say of a call.
fn tell<T>(
    sink: &dyn CapabilitySink,
    caller: Option<RequestId>,
    provider: &str,
    result: &Result<T, CapabilityError>,
) {
    match result {
        Err(CapabilityError::Failed { detail, .. }) => {
            sink.failed(caller, &format!("the provider `{provider}` failed: {detail}"));
        }
        Err(error @ CapabilityError::TimedOut(..)) => sink.failed(caller, &error.to_string()),
        _ => {}
    }
}

/// Whether an operation asks for no more than any may.
fn within_bounds(operation: &KvOperation) -> Result<(), String> {
    let most = KvOperation::MOST_KEYS;
    match operation {
        KvOperation::Get(keys) if keys.len() > most => Err(format!("at most {most} keys are got at once")),
        KvOperation::Get(_) => Ok(()),
        KvOperation::List(list) => match list.limit {
            1..=KvOperation::MOST_LISTED => Ok(()),
            _ => Err(format!("a page has 1 to {} keys", KvOperation::MOST_LISTED)),
        },
        KvOperation::Write(transaction) => {
            if transaction.checks.len() + transaction.changes.len() > most {
                return Err(format!("at most {most} checks and changes are made at once"));
            }
            let mut bytes = 0;
            for (_, change) in &transaction.changes {
                if let KvChange::Put { value, metadata, .. } = change {
                    bytes += value.len();
                    if metadata.as_ref().is_some_and(|metadata| metadata.len() > KvEntry::MAX_METADATA) {
                        return Err(format!("metadata has at most {} bytes", KvEntry::MAX_METADATA));
                    }
                }
            }
            if bytes > KvEntry::MAX_VALUE {
                let most = format_byte_size(KvEntry::MAX_VALUE as u64);
                return Err(format!("at most {most} are put at once"));
            }
            Ok(())
        }
    }
}
