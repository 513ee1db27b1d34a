//! Natives of `console.js`, `console_format.js` and `inspect.js`: the log, and looks at values that run none of the guest's code.

use nexus_guest::Level;

use crate::exception::prefix;
use crate::ops::{self, arg_u32};
use crate::state::State;

pub(crate) const OPS: &[ops::Op] = ops::ops![
    consoleLog => op_console_log,
    consoleWants => op_console_wants,
    valueKind => op_value_kind,
    proxyTarget => op_proxy_target,
    previewEntries => op_preview_entries,
    promiseState => op_promise_state,
    ownNames => op_own_names,
    consoleScope => op_console_scope,
];

/// The levels by their numbers in `console.js`.
fn level(number: u32) -> Level {
    match number {
        0 => Level::Debug,
        1 => Level::Info,
        2 => Level::Warn,
        _ => Level::Error,
    }
}

/// `consoleLog(level, text, stack)`: a line of the request that is running.
fn op_console_log<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    _rv: v8::ReturnValue<'s, v8::Value>,
) {
    let state = State::of(scope);
    let level = level(arg_u32(&args, 0));
    if !state.services.log.wants(level) {
        return;
    }
    let key = State::current(scope);
    let room = usize::try_from(state.log_room(key)).unwrap_or(usize::MAX);
    if room == 0 {
        return;
    }
    let text = |index| {
        let text = v8::Local::<v8::String>::try_from(args.get(index)).ok()?;
        Some(prefix(scope, text, room))
    };
    let (message, stack) = (text(1).unwrap_or_default(), text(2));
    state.log(key, level, message, stack);
}

/// `consoleWants(level)`: whether such a line would be written at all.
fn op_console_wants<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    let state = State::of(scope);
    let wanted = state.services.log.wants(level(arg_u32(&args, 0)));
    rv.set_bool(wanted && state.log_room(State::current(scope)) > 0);
}

/// `valueKind(value)`: what V8 made the value as, whatever its prototype says.
fn op_value_kind<'s>(
    _scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    rv.set_int32(kind(args.get(0)));
}

/// The numbers of `inspect.js`; 0 for everything else.
fn kind(value: v8::Local<'_, v8::Value>) -> i32 {
    type Test = fn(&v8::Value) -> bool;
    const KINDS: &[(Test, i32)] = &[
        (v8::Value::is_array, 1),
        (v8::Value::is_map, 2),
        (v8::Value::is_set, 3),
        (v8::Value::is_date, 4),
        (v8::Value::is_reg_exp, 5),
        (v8::Value::is_native_error, 6),
        (v8::Value::is_promise, 7),
        (v8::Value::is_proxy, 8),
        (v8::Value::is_typed_array, 9),
        (v8::Value::is_array_buffer, 10),
        (v8::Value::is_weak_map, 12),
        (v8::Value::is_weak_set, 12),
        (v8::Value::is_number_object, 14),
        (v8::Value::is_string_object, 14),
        (v8::Value::is_boolean_object, 14),
        (v8::Value::is_symbol_object, 14),
        (v8::Value::is_big_int_object, 14),
        (v8::Value::is_generator_object, 15),
        (v8::Value::is_module_namespace_object, 16),
        (v8::Value::is_arguments_object, 17),
        (v8::Value::is_map_iterator, 18),
        (v8::Value::is_set_iterator, 18),
    ];
    KINDS.iter().find(|(test, _)| test(&value)).map_or(0, |&(_, kind)| kind)
}

/// `proxyTarget(proxy)`: what it stands for; `null` once it is revoked.
fn op_proxy_target<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    if let Ok(proxy) = v8::Local::<v8::Proxy>::try_from(args.get(0)) {
        rv.set(proxy.get_target(scope));
    }
}

/// `previewEntries(value)`: what a map, a set or one of their iterators holds, without moving the iterator.
fn op_preview_entries<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    let value = args.get(0);
    let previewable = value.is_map() || value.is_set() || value.is_map_iterator() || value.is_set_iterator();
    if previewable
        && let Ok(object) = v8::Local::<v8::Object>::try_from(value)
        && let (Some(entries), _) = object.preview_entries(scope)
    {
        rv.set(entries.into());
    }
}

/// `promiseState(promise)`: `[fulfilled, result]`, or `undefined` while it is pending. It does not count as handled.
fn op_promise_state<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    let Ok(promise) = v8::Local::<v8::Promise>::try_from(args.get(0)) else { return };
    let fulfilled = match promise.state() {
        v8::PromiseState::Pending => return,
        state => v8::Boolean::new(scope, state == v8::PromiseState::Fulfilled),
    };
    let result = promise.result(scope);
    rv.set(v8::Array::new_with_elements(scope, &[fulfilled.into(), result]).into());
}

/// `ownNames(object)`: the names of its own enumerable properties, symbols too, but no indices: those of a large array
/// would be many strings.
fn op_own_names<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    // A proxy would run the guest's code.
    if args.get(0).is_proxy() {
        return;
    }
    let Ok(object) = v8::Local::<v8::Object>::try_from(args.get(0)) else { return };
    let wanted = v8::GetPropertyNamesArgsBuilder::new()
        .mode(v8::KeyCollectionMode::OwnOnly)
        .property_filter(v8::PropertyFilter::ONLY_ENUMERABLE)
        .index_filter(v8::IndexFilter::SkipIndices)
        .build();
    if let Some(names) = object.get_property_names(scope, wanted) {
        rv.set(names.into());
    }
}

/// `consoleScope()`: the number of the request that is running; 0 for the guest itself.
fn op_console_scope<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    _args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    rv.set_uint32(State::current(scope).0);
}
