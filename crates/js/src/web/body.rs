//! Natives of `body.js`: the bodies of requests and of fetched responses, read from the host.

use std::future::{Future, poll_fn};

use bytes::{Bytes, BytesMut};
use futures_util::future::{AbortHandle, Abortable};
use nexus_guest::BodyError;

use super::codec::Corrupt;
use super::fetched::{Exchanges, SharedSource, Step};
use crate::operations::Outcome;
use crate::ops::{self, arg_i32, arg_u32, latin1_string, throw_type_error};
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

/// What can be read of a body right now.
enum Readable {
    /// The request is over, or nobody wants the body.
    Gone,
    /// It was read to its end.
    End,
    All(Bytes),
    Later(SharedSource),
    /// A slice of work on its encoding.
    Decoded(Result<Step, Corrupt>),
}

/// What can be read of the body with this number: a request's, or (below 0) a response's. With `take` nobody else reads it
/// from here on.
fn readable(state: &State, id: i32, take: bool) -> Readable {
    if id < 0 {
        return readable_response(state, id, take);
    }
    let found = state.with_scope(ScopeKey(id as u32), |scope| match &mut scope.incoming {
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

fn readable_response(state: &State, id: i32, take: bool) -> Readable {
    let found = Exchanges::with(state, id, |exchange| {
        if let Some(format) = exchange.coding {
            let decoder = exchange.decoder(format, || state.accounts.memory.hold());
            let has_room = |bytes: usize| state.accounts.memory.has_room(bytes as u64);
            return match (decoder.step(has_room), &exchange.body) {
                (Ok(Step::Starved), Some(source)) => Readable::Later(source.clone()),
                (Ok(Step::Starved | Step::End), _) => Readable::End,
                (step, _) => Readable::Decoded(step),
            };
        }
        match if take { exchange.body.take() } else { exchange.body.clone() } {
            Some(source) => Readable::Later(source),
            None => Readable::End,
        }
    });
    found.unwrap_or(Readable::Gone)
}

async fn next_chunk(source: &SharedSource) -> Option<Result<Bytes, BodyError>> {
    poll_fn(|cx| match source.try_borrow_mut() {
        Ok(mut source) => source.poll_chunk(cx),
        // Two reads at once do not happen: JavaScript's stream has one pull at a time.
        Err(_) => std::task::Poll::Ready(Some(Err(BodyError::Aborted))),
    })
    .await
}

fn failed(id: i32, error: &BodyError) -> Outcome {
    if id >= 0 {
        return Outcome::TypeError(format!("the request's body cannot be read: {error}"));
    }
    let code = match error {
        BodyError::Disconnected => "ECONNRESET",
        BodyError::TooLarge { .. } => "ELIMIT",
        BodyError::Malformed(_) => "EPROTO",
        BodyError::TimedOut => "ETIMEDOUT",
        BodyError::Aborted | BodyError::Evicted => "ECANCELED",
    };
    Outcome::Failed {
        message: format!("the response's body cannot be read: {error}"),
        cause: error.to_string(),
        code,
    }
}

/// What is told of a body that is not there any more.
pub(super) fn over(id: i32) -> &'static str {
    if id < 0 {
        "the response's body cannot be read any more: it was cancelled, or the request that fetched it is over"
    } else {
        "the request is over: its body cannot be read any more"
    }
}

/// Runs a read of the body `id` for JavaScript. One whose exchange ends meanwhile fails.
fn spawn_read<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    state: &State,
    id: i32,
    mut rv: v8::ReturnValue<'s, v8::Value>,
    read: impl Future<Output = Outcome> + 'static,
) {
    // A response may be read by another request than the one that fetched it.
    let key = if id < 0 { State::current(scope) } else { ScopeKey(id as u32) };
    let promise = if id < 0 {
        let (abort, registration) = AbortHandle::new_pair();
        Exchanges::with(state, id, |exchange| exchange.abort = Some(abort));
        state.spawn(scope, key, async move {
            let over = |_aborted| Outcome::TypeError(over(id).into());
            Abortable::new(read, registration).await.unwrap_or_else(over)
        })
    } else {
        state.spawn(scope, key, read)
    };
    if let Some(promise) = promise {
        rv.set(promise.into());
    }
}

fn op_has_body(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments<'_>,
    mut rv: v8::ReturnValue<'_, v8::Value>,
) {
    let key = ScopeKey(arg_u32(&args, 0));
    let has = State::of(scope).with_scope(key, |scope| !matches!(scope.incoming, Incoming::Empty));
    rv.set_bool(has.unwrap_or(false));
}

/// `bodyRead(id)`: the next chunk as a `Uint8Array`, null at the end, or true if there is none so far and JavaScript is to
/// ask again; at once or as a promise.
fn op_body_read<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    let id = arg_i32(&args, 0);
    let state = State::of(scope);
    match readable(&state, id, false) {
        Readable::Gone => throw_type_error(scope, over(id)),
        Readable::End => {
            rv.set_null();
            if id < 0 {
                Exchanges::close(&state, id);
            }
        }
        Readable::All(bytes) => {
            set_outcome(scope, rv, if bytes.is_empty() { Outcome::Null } else { Outcome::Bytes(bytes) })
        }
        Readable::Later(source) => {
            let encoded = Exchanges::with(&state, id, |exchange| exchange.coding).flatten().is_some();
            let read = async move {
                match next_chunk(&source).await {
                    Some(Ok(chunk)) if encoded => Outcome::Encoded(id, Some(chunk)),
                    Some(Ok(chunk)) => Outcome::Bytes(chunk),
                    Some(Err(error)) => failed(id, &error),
                    None if encoded => Outcome::Encoded(id, None),
                    None => Outcome::Null,
                }
            };
            spawn_read(scope, &state, id, rv, read);
        }
        Readable::Decoded(Ok(Step::Piece(out, filled))) => {
            match ops::uint8_array(scope, &out[..filled]) {
                Some(array) => rv.set(array.into()),
                None => {
                    let message = ops::no_room(scope);
                    ops::throw_range_error(scope, &message);
                }
            }
            Exchanges::with(&state, id, |exchange| exchange.give_back(out));
        }
        Readable::Decoded(Ok(Step::NoRoom)) => {
            Exchanges::close(&state, id);
            let message = ops::no_room(scope);
            ops::throw_range_error(scope, &message);
        }
        Readable::Decoded(Ok(_)) => rv.set_bool(true),
        Readable::Decoded(Err(Corrupt)) => {
            Exchanges::close(&state, id);
            let corrupt = BodyError::Malformed("its content-encoding is corrupt, or ends too early");
            set_outcome(scope, rv, failed(id, &corrupt));
        }
    }
}

/// `bodyReadAll(id, text)`: the whole rest of the body as a string or a `Uint8Array`; at once or as a promise. Not for a response's that is encoded.
fn op_body_read_all<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    rv: v8::ReturnValue<'s, v8::Value>,
) {
    let id = arg_i32(&args, 0);
    let text = args.get(1).is_true();
    let outcome = move |bytes| if text { Outcome::Text(bytes) } else { Outcome::Bytes(bytes) };
    let state = State::of(scope);
    match readable(&state, id, true) {
        Readable::Gone => throw_type_error(scope, over(id)),
        Readable::End | Readable::Decoded(_) => set_outcome(scope, rv, outcome(Bytes::new())),
        Readable::All(bytes) => set_outcome(scope, rv, outcome(bytes)),
        Readable::Later(source) => {
            let (memory, limits) = (state.accounts.memory.clone(), state.services.limits);
            let read = async move {
                // One chunk may be all, and most often is: then it is not copied.
                let first = match next_chunk(&source).await {
                    Some(Ok(chunk)) => chunk,
                    Some(Err(error)) => return failed(id, &error),
                    None => return outcome(Bytes::new()),
                };
                // Counted while it is gathered; then it becomes the guest's.
                let mut share = memory.hold();
                let mut whole: Option<BytesMut> = None;
                share.set(first.len());
                loop {
                    match next_chunk(&source).await {
                        Some(Ok(chunk)) if memory.has_room(chunk.len() as u64) => {
                            let whole = whole.get_or_insert_with(|| BytesMut::from(&first[..]));
                            whole.extend_from_slice(&chunk);
                            // It grows ahead of what is in it.
                            share.set(first.len() + whole.capacity());
                        }
                        Some(Ok(_)) => return Outcome::RangeError(ops::no_room_within(&limits)),
                        Some(Err(error)) => return failed(id, &error),
                        None => return outcome(whole.map_or(first, BytesMut::freeze)),
                    }
                }
            };
            spawn_read(scope, &state, id, rv, read);
        }
    }
}

/// `bodyCancel(id)`: nobody wants the rest.
fn op_body_cancel(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments<'_>,
    _rv: v8::ReturnValue<'_, v8::Value>,
) {
    let id = arg_i32(&args, 0);
    let state = State::of(scope);
    if id < 0 {
        Exchanges::close(&state, id);
    } else {
        state.with_scope(ScopeKey(id as u32), |scope| scope.incoming = Incoming::Read);
    }
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
