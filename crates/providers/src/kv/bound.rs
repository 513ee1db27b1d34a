//! A binding to a namespace: each call passes here, whatever guest it comes from.

use std::rc::Rc;
use std::sync::Arc;

use nexus_core::{Resource, format_byte_size};
use nexus_guest::{
    Answer, Capability, CapabilityError, CapabilitySink, Grant, Hold, Kv, KvAnswer, KvChange, KvEntry,
    KvOperation, RequestId,
};

use super::{KvEngine, Work};
use crate::slot::Slot;
use crate::work::Made;

/// A namespace, as one binding of one worker's guest has it.
pub(crate) struct BoundKv {
    pub(crate) grant: Arc<Grant>,
    pub(crate) namespace: Resource,
    pub(crate) slot: Arc<Slot<dyn KvEngine>>,
    pub(crate) sink: Rc<dyn CapabilitySink>,
}

impl Kv for BoundKv {
    fn call(
        &self,
        caller: Option<RequestId>,
        operation: KvOperation,
        hold: Box<dyn Hold>,
    ) -> Answer<KvAnswer> {
        let made = Made::new(Capability::Kv, operation.name(), &self.slot, &self.sink, caller);
        if let Err(denied) = self.grant.decide(operation.access()) {
            return Answer::Now(made.over(Err(CapabilityError::Denied(denied))));
        }
        if let Err(why) = within_bounds(&operation) {
            return Answer::Now(made.over(Err(CapabilityError::Invalid(why))));
        }
        let quota = self.grant.quota();
        let namespace = self.namespace.clone();
        made.finish(
            self.slot
                .call(move |engine, inside| engine.call(&namespace, quota, operation, Work { hold, inside })),
        )
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
