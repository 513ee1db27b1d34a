//! Natives of `timers.js`.

use std::time::Duration;

use nexus_core::Limit;

use crate::ops::{self, arg_u32};
use crate::state::State;
use crate::timers::{Kind, Priority};

pub(crate) const OPS: &[ops::Op] = ops::ops![
    timerStart => op_timer_start,
    timerStop => op_timer_stop,
    timerWaits => op_timer_waits,
];

/// `timerStart(callback, milliseconds, repeats, nesting, internal, priority)`: the timer's number, 0 if its request is over.
/// Throws a `RangeError` if the guest has too many.
fn op_timer_start<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    let Ok(callback) = v8::Local::<v8::Function>::try_from(args.get(0)) else { return };
    let callback = v8::Global::new(scope, callback);
    let delay = Duration::from_millis(u64::from(arg_u32(&args, 1)));
    let key = State::current(scope);
    let state = State::of(scope);
    let internal = args.get(4).is_true();
    let priority = if internal { Priority::of(arg_u32(&args, 5)) } else { Priority::Usual };
    let kind = Kind { repeats: args.get(2).is_true(), nesting: arg_u32(&args, 3), internal, priority };
    match state.start_timer(callback, key, delay, kind) {
        Some(id) => rv.set_uint32(id),
        None => {
            let limit = state.services.limits.show(Limit::Timers);
            ops::throw_range_error(scope, &format!("the app has as many timers as it may: {limit}"));
        }
    }
}

fn op_timer_stop(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments<'_>,
    _rv: v8::ReturnValue<'_, v8::Value>,
) {
    State::of(scope).stop_timer(arg_u32(&args, 0));
}

/// `timerWaits(number)`: whether this timer is still to fire.
fn op_timer_waits<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    let waits = State::of(scope).timers.borrow().contains(arg_u32(&args, 0));
    rv.set_bool(waits);
}
