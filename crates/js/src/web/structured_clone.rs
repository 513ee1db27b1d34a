//! Native of `structured_clone.js`: V8's own serialiser, there and back.

use std::cell::RefCell;
use std::rc::Rc;

use v8::{ValueDeserializerHelper, ValueSerializerHelper};

use crate::ops;

pub(crate) const OPS: &[ops::Op] = ops::ops![structuredClone => op_structured_clone];

/// Keeps what V8 cannot clone, for JavaScript to throw it as a `DataCloneError`.
struct Delegate(Rc<RefCell<Option<String>>>);

impl v8::ValueSerializerImpl for Delegate {
    fn throw_data_clone_error<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        message: v8::Local<'s, v8::String>,
    ) {
        *self.0.borrow_mut() = Some(message.to_rust_string_lossy(scope));
        // The serialiser stops at an exception, whichever it is.
        let error = v8::Exception::error(scope, message);
        scope.throw_exception(error);
    }

    fn get_wasm_module_transfer_id(
        &self,
        scope: &mut v8::PinScope<'_, '_>,
        _module: v8::Local<'_, v8::WasmModuleObject>,
    ) -> Option<u32> {
        *self.0.borrow_mut() = Some("a WebAssembly.Module cannot be cloned".into());
        let undefined = v8::undefined(scope).into();
        scope.throw_exception(undefined);
        None
    }
}

impl v8::ValueDeserializerImpl for Delegate {}

/// `structuredClone(value, buffers)`: the clone in an array, or, as a string, what cannot be cloned. Exceptions of
/// the guest's own getters pass through. The buffers are detached, their bytes the clone's.
fn op_structured_clone<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    let refused = Rc::new(RefCell::new(None));
    let context = scope.get_current_context();
    let mut buffers = Vec::new();
    if let Ok(list) = v8::Local::<v8::Array>::try_from(args.get(1)) {
        for index in 0..list.length() {
            let item = list.get_index(scope, index);
            let Some(Ok(buffer)) = item.map(v8::Local::<v8::ArrayBuffer>::try_from) else { continue };
            if buffer.was_detached() || !buffer.is_detachable() {
                *refused.borrow_mut() = Some("an ArrayBuffer is detached already, or cannot be".to_owned());
            }
            buffers.push(buffer);
        }
    }

    let mut bytes = None;
    if refused.borrow().is_none() {
        v8::tc_scope!(let scope, scope);
        let serializer = v8::ValueSerializer::new(scope, Box::new(Delegate(refused.clone())));
        for (id, buffer) in (0..).zip(&buffers) {
            serializer.transfer_array_buffer(id, *buffer);
        }
        serializer.write_header();
        if serializer.write_value(context, args.get(0)) == Some(true) {
            bytes = Some(serializer.release());
        } else if refused.borrow().is_none() {
            scope.rethrow();
            return;
        }
    }
    let Some(bytes) = bytes else {
        let message = refused.borrow_mut().take().unwrap_or_default();
        if let Some(message) = v8::String::new(scope, &message) {
            rv.set(message.into());
        }
        return;
    };

    let deserializer = v8::ValueDeserializer::new(scope, Box::new(Delegate(refused)), &bytes);
    for (id, buffer) in (0..).zip(&buffers) {
        // A getter may have detached it meanwhile: then the clone gets an empty one.
        let store = buffer.get_backing_store();
        if buffer.detach(None) != Some(true) {
            continue;
        }
        let moved = v8::ArrayBuffer::with_backing_store(scope, &store);
        deserializer.transfer_array_buffer(id, moved);
    }
    if deserializer.read_header(context) != Some(true) {
        return;
    }
    if let Some(clone) = deserializer.read_value(context) {
        rv.set(v8::Array::new_with_elements(scope, &[clone]).into());
    }
}
