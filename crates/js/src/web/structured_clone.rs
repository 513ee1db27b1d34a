//! Natives of `structured_clone.js`: what only V8 knows of a value.

use std::cell::Cell;
use std::rc::Rc;

use crate::ops;

pub(crate) const OPS: &[ops::Op] = ops::ops![
    isPlainObject => op_is_plain_object,
    isDetachable => op_is_detachable,
];

/// Hears from V8's serialiser whether a value is an object without more to it. It reads none of its properties.
struct Delegate(Rc<Cell<bool>>);

impl v8::ValueSerializerImpl for Delegate {
    fn throw_data_clone_error<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        message: v8::Local<'s, v8::String>,
    ) {
        // The serialiser stops at an exception, whichever it is.
        let error = v8::Exception::error(scope, message);
        scope.throw_exception(error);
    }

    fn has_custom_host_object(&self, _isolate: &v8::Isolate) -> bool {
        true
    }

    fn is_host_object<'s>(
        &self,
        _scope: &mut v8::PinScope<'s, '_>,
        _object: v8::Local<'s, v8::Object>,
    ) -> Option<bool> {
        Some(true)
    }

    fn write_host_object<'s>(
        &self,
        _scope: &mut v8::PinScope<'s, '_>,
        _object: v8::Local<'s, v8::Object>,
        _serializer: &dyn v8::ValueSerializerHelper,
    ) -> Option<bool> {
        self.0.set(true);
        Some(true)
    }
}

/// `isPlainObject(object)`: whether it is an ordinary object: no promise, proxy, formatter or anything else with slots of
/// its own. Of something that is no other kind that `valueKind` knows.
fn op_is_plain_object<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    let plain = Rc::new(Cell::new(false));
    let context = scope.get_current_context();
    v8::tc_scope!(let scope, scope);
    let serializer = v8::ValueSerializer::new(scope, Box::new(Delegate(plain.clone())));
    serializer.write_value(context, args.get(0));
    rv.set_bool(plain.get());
}

/// `isDetachable(buffer)`: whether it can be transferred.
fn op_is_detachable<'s>(
    _scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    let buffer = v8::Local::<v8::ArrayBuffer>::try_from(args.get(0));
    rv.set_bool(buffer.is_ok_and(|buffer| buffer.is_detachable() && !buffer.was_detached()));
}
