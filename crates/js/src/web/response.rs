//! Natives of `dispatch.js`: how a response leaves the guest.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use nexus_guest::{
    Body, BodyError, BodySource, BodyWriter, FailureKind, HeaderList, Level, PipeState, Reply, pipe,
};

use super::fetch;
use super::fetched::{Exchanges, coding_name};
use crate::exception::{describe, prefix};
use crate::operations::Outcome;
use crate::ops::{self, arg_i32, arg_u32, throw_type_error};
use crate::scope::ScopeKey;
use crate::state::State;

pub(crate) const OPS: &[ops::Op] = ops::ops![
    respond => op_respond,
    respondWithBody => op_respond_with_body,
    fail => op_fail,
    replyWrite => op_reply_write,
    replyRoom => op_reply_room,
    replyEnd => op_reply_end,
    replyFail => op_reply_fail,
    waitBegin => op_wait_begin,
    waitEnd => op_wait_end,
    logException => op_log_exception,
    loadLazy => op_load_lazy,
];

/// How many bytes of a streaming response wait for the client at most, before its stream is held back.
pub(super) const PIPE: usize = 64 * 1024;

/// The most header fields of a response, and their size in bytes.
const MAX_FIELDS: u32 = 4096;
const MAX_HEAD: usize = 1024 * 1024;

/// Reads the header fields from the op's arguments from `first` on: either a list (name, value, …) or the names and values
/// themselves. `None` with an exception pending if a field is not one: JavaScript has checked them, but in the guest's own
/// realm, and what goes onto the wire is the host's matter.
fn header_fields(
    scope: &mut v8::PinScope<'_, '_>,
    args: &v8::FunctionCallbackArguments<'_>,
    first: i32,
) -> Option<HeaderList> {
    let count = args.length() - first;
    if count <= 0 {
        return Some(HeaderList::new());
    }
    if args.get(first).is_array() {
        return field_list(scope, args.get(first), "response");
    }
    let mut headers = HeaderList::with_capacity(count as usize / 2, count as usize * 24);
    for index in (first..first + count).step_by(2) {
        add_field(scope, &mut headers, args.get(index), args.get(index + 1), "response")?;
    }
    Some(headers)
}

/// Reads the header fields from a list: name, value, …; `whose` they are is for the errors. `None` with an exception
/// pending as of [`header_fields`].
pub(super) fn field_list(
    scope: &mut v8::PinScope<'_, '_>,
    list: v8::Local<'_, v8::Value>,
    whose: &str,
) -> Option<HeaderList> {
    let list = v8::Local::<v8::Array>::try_from(list).ok()?;
    let length = list.length();
    if length > MAX_FIELDS * 2 {
        throw_type_error(scope, &format!("the {whose} has too many header fields"));
        return None;
    }
    let mut headers = HeaderList::with_capacity(length as usize / 2, length as usize * 24);
    for index in (0..length).step_by(2) {
        let (name, value) = (list.get_index(scope, index)?, list.get_index(scope, index + 1)?);
        add_field(scope, &mut headers, name, value, whose)?;
    }
    Some(headers)
}

fn add_field(
    scope: &mut v8::PinScope<'_, '_>,
    headers: &mut HeaderList,
    name: v8::Local<'_, v8::Value>,
    value: v8::Local<'_, v8::Value>,
    whose: &str,
) -> Option<()> {
    let large = || format!("the {whose}'s header fields are larger than 1 MB");
    let mut fine = false;
    if let (Ok(name), Ok(value)) =
        (v8::Local::<v8::String>::try_from(name), v8::Local::<v8::String>::try_from(value))
    {
        if name.length() + value.length() > MAX_HEAD {
            throw_type_error(scope, &large());
            return None;
        }
        headers.push_with(|buffer| {
            let start = buffer.len();
            ops::write_latin1(scope, name, buffer);
            let middle = buffer.len();
            ops::write_latin1(scope, value, buffer);
            fine = is_token(&buffer[start..middle]) && is_field_value(&buffer[middle..]);
            middle - start
        });
    }
    if headers.byte_length() > MAX_HEAD {
        throw_type_error(scope, &large());
        return None;
    }
    if !fine {
        throw_type_error(scope, &format!("the {whose} has an invalid header field"));
        return None;
    }
    Some(())
}

fn is_token(name: &[u8]) -> bool {
    let fine = |b: &u8| {
        b.is_ascii_alphanumeric()
            || matches!(b, b'-' | b'_' | b'!' | b'#'..=b'\'' | b'*' | b'+' | b'.' | b'^' | b'`' | b'|' | b'~')
    };
    !name.is_empty() && name.iter().all(fine)
}

fn is_field_value(value: &[u8]) -> bool {
    !value.iter().any(|b| matches!(b, 0 | b'\r' | b'\n'))
}

/// The header lists that `dispatch.js` keeps here, by their numbers; those are in its hands.
#[derive(Default)]
pub(crate) struct KeptHeaders([Option<HeaderList>; 4]);

/// The header fields of a response: those kept under a number if nothing else is given, else those that are given, which
/// may be kept under it.
fn kept_or_given(
    scope: &mut v8::PinScope<'_, '_>,
    args: &v8::FunctionCallbackArguments<'_>,
    state: &State,
) -> Option<HeaderList> {
    let number = v8::Local::<v8::Integer>::try_from(args.get(3)).map_or(-1, |number| number.value());
    let number = usize::try_from(number).ok();
    if args.length() == 4 {
        let kept = number.and_then(|number| state.kept_headers.borrow().0.get(number)?.clone());
        if kept.is_none() {
            throw_type_error(scope, "no header fields are kept under this number");
        }
        return kept;
    }
    let mut headers = header_fields(scope, args, 4)?;
    if let Some(number) = number
        && let Some(place) = state.kept_headers.borrow_mut().0.get_mut(number)
    {
        headers.share();
        *place = Some(headers.clone());
    }
    Some(headers)
}

/// `respond(id, status, body, number, ...headers)`: the body is null, a string, bytes, or for a stream that follows its
/// length, true if that is unknown; for the number see [`kept_or_given`]. Gives whether anybody wants it.
fn op_respond<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    let key = ScopeKey(arg_u32(&args, 0));
    let status = arg_u32(&args, 1) as u16;
    let state = State::of(scope);
    let Some(headers) = kept_or_given(scope, &args, &state) else { return };
    let value = args.get(2);
    let body = if value.is_null() {
        Body::Empty
    } else if let Ok(string) = v8::Local::<v8::String>::try_from(value) {
        let size = ops::utf8_size(scope, string);
        if !ops::room(scope, size) {
            return;
        }
        let mut bytes = Vec::new();
        ops::write_utf8(scope, string, &mut bytes);
        Body::Full(state.accounts.memory.body(bytes))
    } else if value.is_true() || value.is_number() {
        let length = v8::Local::<v8::Number>::try_from(value).map(|length| length.value() as u64).ok();
        let (writer, body) = pipe(PIPE, length);
        if !state.wants_answer(key) {
            state.answer(key, Err(FailureKind::Stopped.into()));
            rv.set_bool(false);
            return;
        }
        state.with_scope(key, |scope| scope.outgoing = Some(Rc::new(writer)));
        body
    } else {
        if !ops::room(scope, ops::byte_length(value)) {
            return;
        }
        let mut bytes = Vec::new();
        ops::read_bytes(value, &mut bytes);
        Body::Full(state.accounts.memory.body(bytes))
    };
    rv.set_bool(state.answer(key, Ok(Reply { status, headers, body })));
}

/// A body that the host holds as the body of something else.
pub(super) struct Echo(pub(super) Rc<RefCell<Box<dyn BodySource>>>);

impl BodySource for Echo {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        self.0.borrow_mut().poll_chunk(cx)
    }

    fn exact_length(&self) -> Option<u64> {
        self.0.borrow().exact_length()
    }
}

/// `respondWithBody(id, status, source, headers)`: the body that the host holds under the number `source` goes to the
/// client as it comes: that of a request, or (below 0) of a response that the guest has fetched.
fn op_respond_with_body<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    let key = ScopeKey(arg_u32(&args, 0));
    let status = arg_u32(&args, 1) as u16;
    let source = arg_i32(&args, 2);
    let Some(mut headers) = header_fields(scope, &args, 3) else { return };
    let state = State::of(scope);
    let coding = Exchanges::with(&state, source, |exchange| exchange.coding).flatten();
    if let Some(coding) = coding
        && headers.get("content-encoding").is_none()
    {
        headers.push(b"content-encoding", coding_name(coding).as_bytes());
    }
    match fetch::take(&state, source) {
        Some(body) => rv.set_bool(state.answer(key, Ok(Reply { status, headers, body }))),
        None => throw_type_error(scope, super::body::over(source)),
    }
}

/// The longest name of a class that is told, in bytes.
const MAX_NAME: usize = 200;

/// A value's kind, for a message: `undefined`, `null`, `a string`, `an object (Array)`.
fn kind_of(scope: &mut v8::PinScope<'_, '_>, value: v8::Local<'_, v8::Value>) -> String {
    if value.is_null_or_undefined() {
        return if value.is_null() { "null".into() } else { "undefined".into() };
    }
    let kind = value.type_of(scope).to_rust_string_lossy(scope);
    match v8::Local::<v8::Object>::try_from(value) {
        Ok(object) if kind == "object" => {
            format!("an object ({})", prefix(scope, object.get_constructor_name(), MAX_NAME))
        }
        _ => format!("a {kind}"),
    }
}

/// `fail(id, kind, value)`: kind 0: the handler threw `value`; 1: it returned `value`, which is no response; 2: it
/// returned the response of an error.
fn op_fail(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments<'_>,
    _rv: v8::ReturnValue<'_, v8::Value>,
) {
    let key = ScopeKey(arg_u32(&args, 0));
    let state = State::of(scope);
    let (kind, message, stack) = if arg_u32(&args, 1) == 0 {
        let described = describe(scope, args.get(2));
        (FailureKind::Threw, described.message, described.stack)
    } else {
        let message = if arg_u32(&args, 1) == 2 {
            "fetch() returned Response.error(), which stands for a failed request and cannot be sent"
                .to_owned()
        } else {
            format!("fetch() must return a Response or a promise of one, not {}", kind_of(scope, args.get(2)))
        };
        (FailureKind::NotAResponse, message, None)
    };
    // A handler may well fail when its client has gone.
    let level = if state.is_orphan(key) { Level::Debug } else { Level::Error };
    state.log(key, level, message, stack);
    state.answer(key, Err(kind.into()));
}

/// `replyWrite(id, bytes)`: 0 there is room for more, 1 wait for it, 2 nobody wants it any more.
fn op_reply_write(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments<'_>,
    mut rv: v8::ReturnValue<'_, v8::Value>,
) {
    let state = State::of(scope);
    let Some(writer) = writer(&state, arg_i32(&args, 0)) else {
        rv.set_int32(2);
        return;
    };
    if !ops::room(scope, ops::byte_length(args.get(1))) {
        return;
    }
    let mut bytes = Vec::new();
    ops::read_bytes(args.get(1), &mut bytes);
    rv.set_int32(number(writer.write(state.accounts.memory.body(bytes))));
}

fn number(state: PipeState) -> i32 {
    match state {
        PipeState::Room => 0,
        PipeState::Full => 1,
        PipeState::Closed => 2,
    }
}

/// Where the body goes that JavaScript writes under this number: a response's, or (below 0) that of a request which the
/// guest sends.
fn writer(state: &State, id: i32) -> Option<Rc<BodyWriter>> {
    if id < 0 {
        return Exchanges::with(state, id, |exchange| exchange.upload.clone()).flatten();
    }
    state.with_scope(ScopeKey(id as u32), |owner| owner.outgoing.clone()).flatten()
}

/// `replyRoom(id)`: a promise of 0 or 2, as of `replyWrite`.
fn op_reply_room<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    let id = arg_i32(&args, 0);
    let key = if id < 0 { State::current(scope) } else { ScopeKey(id as u32) };
    let state = State::of(scope);
    let Some(writer) = writer(&state, id) else {
        rv.set_int32(2);
        return;
    };
    let room = async move { Outcome::Number(number(writer.room().await) as u32) };
    if let Some(promise) = state.spawn(scope, key, room) {
        rv.set(promise.into());
    }
}

fn end(state: &State, id: i32, error: Option<BodyError>) {
    let writer = if id < 0 {
        Exchanges::with(state, id, |exchange| exchange.upload.take()).flatten()
    } else {
        let key = ScopeKey(id as u32);
        state.touch(key);
        state.with_scope(key, |owner| owner.outgoing.take()).flatten()
    };
    // A pending `replyRoom` cannot hold it: JavaScript awaits that before it ends the body.
    if let Some(writer) = writer.and_then(|writer| Rc::try_unwrap(writer).ok()) {
        match error {
            None => writer.finish(),
            Some(error) => writer.fail(error),
        }
    }
}

fn op_reply_end(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments<'_>,
    _rv: v8::ReturnValue<'_, v8::Value>,
) {
    end(&State::of(scope), arg_i32(&args, 0), None);
}

fn op_reply_fail(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments<'_>,
    _rv: v8::ReturnValue<'_, v8::Value>,
) {
    end(&State::of(scope), arg_i32(&args, 0), Some(BodyError::Aborted));
}

/// `waitUntil` begins; false if the request is over.
fn op_wait_begin(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments<'_>,
    mut rv: v8::ReturnValue<'_, v8::Value>,
) {
    let begun = State::of(scope).with_scope(ScopeKey(arg_u32(&args, 0)), |owner| owner.waits += 1);
    rv.set_bool(begun.is_some());
}

fn op_wait_end(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments<'_>,
    _rv: v8::ReturnValue<'_, v8::Value>,
) {
    let key = ScopeKey(arg_u32(&args, 0));
    let state = State::of(scope);
    state.with_scope(key, |owner| owner.waits = owner.waits.saturating_sub(1));
    state.touch(key);
}

/// `logException(error, where)`: an exception that nobody in the guest caught.
fn op_log_exception(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments<'_>,
    _rv: v8::ReturnValue<'_, v8::Value>,
) {
    let described = describe(scope, args.get(0));
    let Some(place) = ops::to_rust_string(scope, args.get(1)) else { return };
    let message =
        if place.is_empty() { described.message } else { format!("{place}: {}", described.message) };
    State::of(scope).log(State::current(scope), Level::Error, message, described.stack);
}

/// The function of a lazy file.
fn op_load_lazy<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    let Some(file) = ops::to_rust_string(scope, args.get(0)) else { return };
    if let Some(function) = crate::isolate::lazy_file(scope, &file) {
        rv.set(function);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_would_break_the_head_is_none() {
        assert!(is_token(b"x-a") && !is_token(b"") && !is_token(b"a b") && !is_token(b"a:"));
        assert!(is_field_value(b"caf\xe9 x") && !is_field_value(b"a\r\nb") && !is_field_value(b"\0"));
    }
}
