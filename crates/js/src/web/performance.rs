//! Natives of `performance.js` (High Resolution Time).

use std::time::Duration;

use crate::ops;
use crate::state::State;

pub(crate) const OPS: &[ops::Op] =
    ops::ops![performanceNow => op_performance_now, performanceTimeOrigin => op_performance_time_origin];

/// Milliseconds in steps of 100 µs, so that a guest cannot time what its neighbours leave in the caches.
fn coarse(time: Duration) -> f64 {
    (time.as_micros() / 100) as f64 / 10.0
}

/// `performanceNow()`: milliseconds since the guest's start.
fn op_performance_now<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    _args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    rv.set_double(coarse(State::of(scope).origin.elapsed()));
}

/// `performanceTimeOrigin()`: the guest's start, in milliseconds since 1970.
fn op_performance_time_origin<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    _args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    rv.set_double(coarse(State::of(scope).origin_wall));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_in_steps_of_a_tenth_of_a_millisecond() {
        assert_eq!(coarse(Duration::from_micros(1299)), 1.2);
        assert_eq!(coarse(Duration::from_micros(99)), 0.0);
    }
}
