//! Natives of `request.js` and of the context: what the host knows of a request.

use nexus_guest::ClientAddress;

use crate::ops::{self, arg_u32, latin1_string};
use crate::scope::ScopeKey;
use crate::state::State;

pub(crate) const OPS: &[ops::Op] = ops::ops![
    requestHeaders => op_request_headers,
    holdSignal => op_hold_signal,
    clientAddress => op_client_address,
    requestId => op_request_id,
];

/// The header list: name, value, name, value, …
fn op_request_headers<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    let key = ScopeKey(arg_u32(&args, 0));
    let state = State::of(scope);
    let headers = state.with_scope(key, |owner| std::mem::take(&mut owner.headers)).unwrap_or_default();
    let mut list: Vec<v8::Local<'_, v8::Value>> = Vec::with_capacity(headers.len() * 2);
    for (name, value) in headers.iter() {
        let name = v8::String::new_from_one_byte(scope, name, v8::NewStringType::Internalized);
        list.push(name.unwrap_or_else(|| v8::String::empty(scope)).into());
        list.push(latin1_string(scope, value).into());
    }
    // A clone of the request may ask again.
    state.with_scope(key, |owner| owner.headers = headers);
    rv.set(v8::Array::new_with_elements(scope, &list).into());
}

/// Keeps the request's signal, to abort it when the client goes away. False if that has happened already.
fn op_hold_signal<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    let key = ScopeKey(arg_u32(&args, 0));
    let Ok(signal) = v8::Local::<v8::Object>::try_from(args.get(1)) else { return };
    let signal = v8::Global::new(scope, signal);
    // A request that ended well does not abort.
    let held = State::of(scope).with_scope(key, |owner| {
        owner.signal = Some(signal);
        !owner.aborted
    });
    rv.set_bool(held.unwrap_or(true));
}

/// `{ address, port }`, null where unknown.
fn op_client_address<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    let client =
        State::of(scope).with_scope(ScopeKey(arg_u32(&args, 0)), |owner| owner.client).unwrap_or_default();
    let null: v8::Local<'_, v8::Value> = v8::null(scope).into();
    let (address, port) = match client {
        ClientAddress::Ip(ip, port) => {
            let address = v8::String::new(scope, &ip.to_string()).map_or(null, Into::into);
            (address, port.map_or(null, |port| v8::Integer::new(scope, i32::from(port)).into()))
        }
        ClientAddress::Unix | ClientAddress::Inside => (null, null),
    };
    let object = v8::Object::new(scope);
    for (name, value) in [("address", address), ("port", port)] {
        if let Some(name) = v8::String::new(scope, name) {
            object.create_data_property(scope, name.into(), value);
        }
    }
    rv.set(object.into());
}

fn op_request_id<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    if let Some(id) = State::of(scope).request_id(ScopeKey(arg_u32(&args, 0))) {
        rv.set(latin1_string(scope, id.as_bytes()).into());
    } else {
        rv.set_empty_string();
    }
}
