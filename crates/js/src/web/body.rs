//! Natives of `body.js`: the request's body, read from the host.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use nexus_guest::{BodyError, BodySource};

use crate::operations::Outcome;
use crate::ops::{self, arg_u32, latin1_string, throw_type_error};
use crate::scope::{Incoming, ScopeKey};
use crate::state::State;

pub(crate) const OPS: &[ops::Op] = ops::ops![
    hasBody => op_has_body,
    bodyRead => op_body_read,
    bodyReadAll => op_body_read_all,
    bodyCancel => op_body_cancel,
    utf8Encode => op_utf8_encode,
    utf8Decode => op_utf8_decode,
    latin1Decode => op_latin1_decode,
    formBoundary => op_form_boundary,
];

type SharedSource = Rc<RefCell<Box<dyn BodySource>>>;

/// What can be read of a request's body right now.
enum Readable {
    /// The request is over.
    Gone,
    /// It was read to its end.
    End,
    All(Bytes),
    Later(SharedSource),
}

fn readable(state: &State, key: ScopeKey, take: bool) -> Readable {
    let found = state.with_scope(key, |scope| match &mut scope.incoming {
        Incoming::Empty | Incoming::Read => Readable::End,
        Incoming::Full(bytes) => {
            let bytes = std::mem::take(bytes);
            scope.incoming = Incoming::Read;
            Readable::All(bytes)
        }
        Incoming::Stream(source) => {
            let source = source.clone();
            if take {
                scope.incoming = Incoming::Read;
            }
            Readable::Later(source)
        }
    });
    found.unwrap_or(Readable::Gone)
}

async fn next_chunk(source: &SharedSource) -> Option<Result<Bytes, BodyError>> {
    poll_fn(|cx| match source.try_borrow_mut() {
        Ok(mut source) => source.poll_chunk(cx),
        // Two reads at once do not happen: JavaScript's stream has one pull at a time.
        Err(_) => std::task::Poll::Ready(None),
    })
    .await
}

fn failed(error: &BodyError) -> Outcome {
    Outcome::TypeError(format!("the request's body cannot be read: {error}"))
}

const OVER: &str = "the request is over: its body cannot be read any more";

fn op_has_body(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments<'_>,
    mut rv: v8::ReturnValue<'_, v8::Value>,
) {
    let key = ScopeKey(arg_u32(&args, 0));
    let has = State::of(scope).with_scope(key, |scope| !matches!(scope.incoming, Incoming::Empty));
    rv.set_bool(has.unwrap_or(false));
}

/// The next chunk as a `Uint8Array`, or null at the end; at once or as a promise.
fn op_body_read<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    let key = ScopeKey(arg_u32(&args, 0));
    let state = State::of(scope);
    match readable(&state, key, false) {
        Readable::Gone => throw_type_error(scope, OVER),
        Readable::End => rv.set_null(),
        Readable::All(bytes) => {
            set_outcome(scope, rv, if bytes.is_empty() { Outcome::Null } else { Outcome::Bytes(bytes) })
        }
        Readable::Later(source) => {
            let read = async move {
                match next_chunk(&source).await {
                    Some(Ok(chunk)) => Outcome::Bytes(chunk),
                    Some(Err(error)) => failed(&error),
                    None => Outcome::Null,
                }
            };
            if let Some(promise) = state.spawn(scope, key, read) {
                rv.set(promise.into());
            }
        }
    }
}

/// The whole rest of the body as a string (second argument true) or a `Uint8Array`; at once or as a promise.
fn op_body_read_all<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    let key = ScopeKey(arg_u32(&args, 0));
    let text = args.get(1).is_true();
    let outcome = move |bytes| if text { Outcome::Text(bytes) } else { Outcome::Bytes(bytes) };
    let state = State::of(scope);
    match readable(&state, key, true) {
        Readable::Gone => throw_type_error(scope, OVER),
        Readable::End => set_outcome(scope, rv, outcome(Bytes::new())),
        Readable::All(bytes) => set_outcome(scope, rv, outcome(bytes)),
        Readable::Later(source) => {
            let (memory, no_room) = (state.accounts.memory.clone(), ops::no_room(scope));
            let read = async move {
                // Counted while it is gathered; then it becomes the guest's.
                let (mut whole, mut share) = (BytesMut::new(), memory.hold());
                loop {
                    match next_chunk(&source).await {
                        Some(Ok(chunk)) if memory.has_room(chunk.len() as u64) => {
                            share.grow(chunk.len());
                            whole.extend_from_slice(&chunk);
                        }
                        Some(Ok(_)) => return Outcome::RangeError(no_room),
                        Some(Err(error)) => return failed(&error),
                        None => return outcome(whole.freeze()),
                    }
                }
            };
            if let Some(promise) = state.spawn(scope, key, read) {
                rv.set(promise.into());
            }
        }
    }
}

/// Nobody wants the rest.
fn op_body_cancel(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments<'_>,
    _rv: v8::ReturnValue<'_, v8::Value>,
) {
    State::of(scope).with_scope(ScopeKey(arg_u32(&args, 0)), |scope| scope.incoming = Incoming::Read);
}

fn op_utf8_encode<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    let Ok(string) = v8::Local::<v8::String>::try_from(args.get(0)) else { return };
    let length = string.utf8_length(scope);
    if !ops::room(scope, length * 2) {
        return;
    }
    let key = State::current(scope);
    let array = State::of(scope).with_scratch(key, length, |bytes| {
        let written = string.write_utf8_v2(scope, bytes, v8::WriteFlags::kReplaceInvalidUtf8, None);
        ops::uint8_array(scope, &bytes[..written])
    });
    if let Some(array) = array {
        rv.set(array.into());
    }
}

/// "UTF-8 decode" of the Encoding Standard: without the byte order mark, errors replaced. With a second argument `true`
/// "UTF-8 decode without BOM", which keeps a mark.
fn op_utf8_decode<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    rv: v8::ReturnValue<'s, v8::Value>,
) {
    let Ok(view) = v8::Local::<v8::ArrayBufferView>::try_from(args.get(0)) else { return };
    if !ops::room(scope, view.byte_length() * 3) {
        return;
    }
    let keep_mark = args.get(1).is_true();
    let key = State::current(scope);
    State::of(scope).with_scratch(key, view.byte_length(), |bytes| {
        let copied = view.copy_contents(bytes);
        let text = &bytes[..copied];
        let unmarked = text.strip_prefix(b"\xef\xbb\xbf").filter(|_| !keep_mark);
        set_text(scope, rv, unmarked.unwrap_or(text));
    });
}

/// A string with a character for each byte.
fn op_latin1_decode<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    let Ok(view) = v8::Local::<v8::ArrayBufferView>::try_from(args.get(0)) else { return };
    if !ops::room(scope, view.byte_length() * 2) {
        return;
    }
    let key = State::current(scope);
    State::of(scope).with_scratch(key, view.byte_length(), |bytes| {
        let copied = view.copy_contents(bytes);
        match v8::String::new_from_one_byte(scope, &bytes[..copied], v8::NewStringType::Normal) {
            Some(string) => rv.set(string.into()),
            None => ops::throw_range_error(scope, TOO_LONG),
        }
    });
}

const TOO_LONG: &str = "the text is longer than a string can be";

/// The random part of a multipart/form-data boundary.
fn op_form_boundary<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    _args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    let mut seed = [0u8; 16];
    if rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty()) != Ok(seed.len()) {
        throw_type_error(scope, "the system gives no random numbers");
        return;
    }
    rv.set(latin1_string(scope, format!("{:032x}", u128::from_ne_bytes(seed)).as_bytes()).into());
}

fn set_text<'s>(scope: &mut v8::PinScope<'s, '_>, mut rv: v8::ReturnValue<'s, v8::Value>, text: &[u8]) {
    match v8::String::new_from_utf8(scope, text, v8::NewStringType::Normal) {
        Some(string) => rv.set(string.into()),
        None => ops::throw_range_error(scope, TOO_LONG),
    }
}

fn set_outcome<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
    outcome: Outcome,
) {
    match outcome.into_value(scope) {
        Ok(value) => rv.set(value),
        Err(error) => {
            scope.throw_exception(error);
        }
    }
}
