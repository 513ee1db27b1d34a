//! What all calls to providers have in common: what they hold of their guest's memory, and how they are refused.

use nexus_core::Limit;
use nexus_guest::{Capability, CapabilityError, Hold};

use crate::memory::Share;
use crate::ops;
use crate::state::State;

/// What a call holds of the guest's memory. It crosses threads with the call.
pub(super) struct Holds {
    share: Share,
    limit: u64,
}

impl Hold for Holds {
    fn grow(&mut self, bytes: usize) -> bool {
        let fits = self.share.all_held().saturating_add(bytes as u64) <= self.limit;
        if fits {
            self.share.grow(bytes);
        }
        fits
    }
}

/// What a call beside its operation takes of the host's memory, about, in bytes.
const CALL: usize = 512;

/// Counts a call. `None`, with a `RangeError` pending, if the guest may have none more.
pub(super) fn hold(scope: &mut v8::PinScope<'_, '_>) -> Option<Holds> {
    let state = State::of(scope);
    // Before anything is done: what is refused must not be done all the same.
    if state.operations.borrow().len() >= state.services.limits.size(Limit::Operations) {
        let limit = state.services.limits.show(Limit::Operations);
        let message = format!("the app has as many operations under way as it may: {limit}");
        ops::throw_range_error(scope, &message);
        return None;
    }
    let mut hold = Holds { share: state.accounts.memory.hold(), limit: state.accounts.memory.limit() };
    if !hold.grow(CALL) {
        let message = ops::no_room(scope);
        ops::throw_range_error(scope, &message);
        return None;
    }
    Some(hold)
}

/// An `Error` with a `code`, and with `retryable` if it is to be tried again.
pub(super) fn refusal<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    what: Capability,
    error: &CapabilityError,
) -> v8::Local<'s, v8::Value> {
    let text = match error {
        CapabilityError::Failed { told, .. } => told.clone(),
        error => format!("{what}: {error}"),
    };
    let message = v8::String::new(scope, &text).unwrap_or_else(|| v8::String::empty(scope));
    let exception = v8::Exception::error(scope, message);
    if let Ok(holder) = v8::Local::<v8::Object>::try_from(exception) {
        let code = ops::latin1_string(scope, error.code().as_bytes()).into();
        let retryable = v8::Boolean::new(scope, error.is_retryable()).into();
        for (name, value) in [("code", code), ("retryable", retryable)] {
            let name = ops::latin1_string(scope, name.as_bytes()).into();
            holder.define_own_property(scope, name, value, v8::PropertyAttribute::DONT_ENUM);
        }
    }
    exception
}
