//! A binding to a database: each call passes here, whatever guest it comes from.

use std::rc::Rc;
use std::sync::Arc;

use nexus_core::{Access, Resource, format_byte_size};
use nexus_guest::{
    Answer, Capability, CapabilityError, CapabilitySink, CpuBudget, Grant, Hold, RequestId, Sql,
    SqlOperation, SqlResult,
};

use super::{SqlCall, SqlEngine, Work};
use crate::slot::Slot;
use crate::work::Made;

/// A database, as one binding of one worker's guest has it.
pub(crate) struct BoundSql {
    pub(crate) grant: Arc<Grant>,
    pub(crate) database: Resource,
    pub(crate) slot: Arc<Slot<dyn SqlEngine>>,
    pub(crate) sink: Rc<dyn CapabilitySink>,
}

impl Sql for BoundSql {
    fn call(
        &self,
        caller: Option<RequestId>,
        operation: SqlOperation,
        budget: CpuBudget,
        hold: Box<dyn Hold>,
    ) -> Answer<Vec<SqlResult>> {
        let made = Made::new(Capability::Sql, operation.name(), &self.slot, &self.sink, caller);
        // That it may write is decided where it turns out to.
        if let Err(denied) = self.grant.decide(Access::Read) {
            return Answer::Now(made.over(Err(CapabilityError::Denied(denied))));
        }
        if let Err(why) = within_bounds(&operation) {
            return Answer::Now(made.over(Err(CapabilityError::Invalid(why))));
        }
        let (grant, database) = (self.grant.clone(), self.database.clone());
        let call = SqlCall { operation, budget };
        made.finish(
            self.slot.call(move |engine, inside| engine.call(&database, &grant, call, Work { hold, inside })),
        )
    }
}

/// Whether an operation is no larger than any may be.
fn within_bounds(operation: &SqlOperation) -> Result<(), String> {
    let (most_text, most_value) = (SqlOperation::MAX_TEXT, SqlOperation::MAX_VALUE);
    let long = || format!("the text of a statement has at most {most_text} bytes");
    match operation {
        SqlOperation::Script(text) if text.len() > most_text => Err(long()),
        SqlOperation::Script(_) => Ok(()),
        SqlOperation::Batch(statements) => {
            let most = SqlOperation::MOST_STATEMENTS;
            if statements.len() > most {
                return Err(format!("a batch has at most {most} statements"));
            }
            for statement in statements {
                if statement.text.len() > most_text {
                    return Err(long());
                }
                let most = SqlOperation::MOST_PARAMETERS;
                if statement.parameters.len() > most {
                    return Err(format!("a statement has at most {most} parameters"));
                }
                if statement.parameters.iter().any(|value| value.size() > most_value) {
                    return Err(format!("a value has at most {}", format_byte_size(most_value as u64)));
                }
            }
            Ok(())
        }
    }
}
