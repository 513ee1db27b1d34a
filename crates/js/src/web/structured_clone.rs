//! Natives of `structured_clone.js`: what only V8 knows of a value.

use std::cell::Cell;
use std::rc::Rc;

use crate::ops;

pub(crate) const OPS: &[ops::Op] = ops::ops![
    cloneKind => op_clone_kind,
    isPlainObject => op_is_plain_object,
];

/// `cloneKind(object)`: what V8 made it as, whatever its prototype says.
fn op_clone_kind<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    type Test = fn(&v8::Value) -> bool;
    // The numbers of `structured_clone.js`; 0 for everything else.
    const NAMED_ARRAY: i32 = 2;
    const REFUSED: i32 = 12;
    const KINDS: &[(Test, i32)] = &[
        (v8::Value::is_map, 3),
        (v8::Value::is_set, 4),
        (v8::Value::is_date, 5),
        (v8::Value::is_reg_exp, 6),
        (v8::Value::is_native_error, 7),
        (v8::Value::is_array_buffer, 9),
        (v8::Value::is_number_object, 10),
        (v8::Value::is_string_object, 10),
        (v8::Value::is_boolean_object, 10),
        (v8::Value::is_symbol_object, 10),
        (v8::Value::is_big_int_object, 10),
        (v8::Value::is_arguments_object, 11),
        (v8::Value::is_proxy, REFUSED),
        (v8::Value::is_promise, REFUSED),
        (v8::Value::is_weak_map, REFUSED),
        (v8::Value::is_weak_set, REFUSED),
        (v8::Value::is_generator_object, REFUSED),
        (v8::Value::is_module_namespace_object, REFUSED),
        (v8::Value::is_map_iterator, REFUSED),
        (v8::Value::is_set_iterator, REFUSED),
    ];
    let value = args.get(0);
    if let Ok(array) = v8::Local::<v8::Array>::try_from(value) {
        let names = v8::GetPropertyNamesArgsBuilder::new()
            .mode(v8::KeyCollectionMode::OwnOnly)
            .index_filter(v8::IndexFilter::SkipIndices)
            .build();
        let named = array.get_property_names(scope, names).is_none_or(|names| names.length() > 0);
        rv.set_int32(if named { NAMED_ARRAY } else { 1 });
        return;
    }
    rv.set_int32(KINDS.iter().find(|(test, _)| test(&value)).map_or(0, |&(_, kind)| kind));
}

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
