//! Natives of `global_scope.js`, `navigator.js` and `event_target.js`.

use crate::ops;
use crate::state::State;

pub(crate) const OPS: &[ops::Op] = ops::ops![
    version => op_version,
    exceptionPlace => op_exception_place,
    hearRejections => op_hear_rejections,
];

/// `version()`: the program's.
fn op_version<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    _args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    rv.set(ops::latin1_string(scope, env!("CARGO_PKG_VERSION").as_bytes()).into());
}

/// How far up the stack the guest's own code is looked for.
const FRAMES: usize = 32;

/// `exceptionPlace(error)`: the message, file, line and column of an `ErrorEvent`. Runs none of the guest's code.
fn op_exception_place<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    let message = v8::Exception::create_message(scope, args.get(0));
    let text = message.get(scope);
    let name = message.get_script_resource_name(scope).and_then(|name| v8::Local::try_from(name).ok());
    let line = message.get_line_number(scope).unwrap_or(0);
    let mut place = (name, line, message.get_start_column() + 1);
    if place.0.is_none_or(|name| is_internal(scope, name)) {
        // Thrown by an API, or no error at all: the caller's place.
        place = (None, 0, 0);
        if let Some(stack) = v8::StackTrace::current_stack_trace(scope, FRAMES) {
            for index in 0..stack.get_frame_count() {
                let Some(frame) = stack.get_frame(scope, index) else { break };
                let Some(name) = frame.get_script_name(scope) else { continue };
                if !is_internal(scope, name) {
                    place = (Some(name), frame.get_line_number(), frame.get_column());
                    break;
                }
            }
        }
    }
    let (name, line, column) = place;
    let name = name.unwrap_or_else(|| v8::String::empty(scope));
    let [line, column] = [line, column].map(|number| v8::Number::new(scope, number as f64).into());
    rv.set(v8::Array::new_with_elements(scope, &[text.into(), name.into(), line, column]).into());
}

/// Whether a script is one of the Web APIs' files.
fn is_internal(scope: &v8::Isolate, name: v8::Local<'_, v8::String>) -> bool {
    crate::exception::prefix(scope, name, 6) == "nexus:"
}

/// `hearRejections(wanted)`: whether the guest listens for rejected promises.
fn op_hear_rejections(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments<'_>,
    _rv: v8::ReturnValue<'_, v8::Value>,
) {
    State::of(scope).rejections.borrow_mut().hear(args.get(0).is_true());
}
