//! Natives of `fetch.js`: how a request leaves the guest, and how its response comes back.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::{AbortHandle, Abortable};
use nexus_core::Limit;
use nexus_guest::{
    Body, Bound, Deadlines, HeaderList, HttpClient, HttpError, OutboundRequest, OutboundResponse, method,
    pipe,
};

use super::data_url;
use super::encoding::with_bytes;
use super::fetch_place::{Place, origin, place};
use super::fetched::{self, Exchanges};
use super::held::Held;
use super::integrity::Check;
use super::response::{Echo, PIPE, field_list};
use crate::memory::Share;
use crate::operations::Outcome;
use crate::ops::{self, arg_i32, arg_u32, throw_type_error};
use crate::scope::{Incoming, ScopeKey};
use crate::state::State;

pub(crate) const OPS: &[ops::Op] = ops::ops![
    fetchOpen => op_fetch_open,
    fetchSend => op_fetch_send,
    fetchAbort => op_fetch_abort,
    isEncoded => op_is_encoded,
    takesEncoding => op_takes_encoding,
    integrityOpen => op_integrity_open,
    integrityUpdate => op_integrity_update,
    integrityClose => op_integrity_close,
    dataUrl => op_data_url,
];

/// `fetchOpen(holder, through)`: a number for the others, below 0; the exchange lives no longer than `holder`. Who answers is the
/// app of the binding `through`, or, if that is below 0, whom the URL names.
fn op_fetch_open<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    let Ok(holder) = v8::Local::<v8::Object>::try_from(args.get(0)) else { return };
    let key = State::current(scope);
    let state = State::of(scope);
    if key != ScopeKey::GUEST && state.with_scope(key, |_| ()).is_none() {
        throw_type_error(scope, "fetch: the request in whose name this is sent is over");
        return;
    }
    // Each takes memory of the host's.
    if state.exchanges.borrow().len() >= state.services.limits.size(Limit::Operations) {
        let limit = state.services.limits.show(Limit::Operations);
        let message = format!("the app has as many operations under way as it may: {limit}");
        ops::throw_range_error(scope, &message);
        return;
    }
    let through = u32::try_from(arg_i32(&args, 1)).ok();
    rv.set_int32(Exchanges::open(&state, scope, holder, key, through));
}

/// `fetchSend(id, method, url, headers, body, length)`: a promise of `[status, reason, body, headers]`, where `body` is 0
/// for none, 1 for one, 2 for one that is decoded. The request's body is null, a string, bytes, the number of a body that
/// the host holds, or true for one that follows (`replyWrite`), of `length` bytes if that is a number. The promise is
/// rejected with a `TypeError` whose cause names what failed; an exchange that was aborted is one of these.
fn op_fetch_send<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    let id = arg_i32(&args, 0);
    let Some(verb) = ops::to_rust_string(scope, args.get(1)) else { return };
    let Some(url) = ops::to_rust_string(scope, args.get(2)) else { return };
    let Some(mut headers) = field_list(scope, args.get(3), "request") else { return };
    let key = State::current(scope);
    let state = State::of(scope);
    let through = Exchanges::with(&state, id, |exchange| exchange.through).flatten();
    let Some(client) = client(&state, through) else { return };
    let Some(body) = request_body(scope, &state, id, &args) else { return };
    // What the host holds of it, twice over for what it makes of that.
    let head = verb.len() + url.len() + headers.byte_length();
    let small = if let Body::Full(bytes) = &body { bytes.len().min(SMALL_BODY) } else { 0 };
    let Some(share) = hold(scope, &state, EXCHANGE + 2 * head + small) else { return };
    let sent = place(&url)
        .and_then(|place| {
            let limit = state.services.limits.get(Limit::OutboundHeaders);
            if head as u64 > limit {
                return Err(HttpError::Limit(Limit::OutboundHeaders, limit));
            }
            count(&state, key)?;
            Ok(place)
        })
        .map(|Place { secure, host, port, target }| {
            if through.is_none() {
                fill_in(&mut headers);
            }
            let request = OutboundRequest {
                sender: state.request_id(key),
                depth: 0,
                method: method(&verb),
                secure,
                host,
                port,
                target,
                headers,
                body,
                deadlines: Deadlines::default(),
            };
            client.send(request)
        });
    let (abort, registration) = AbortHandle::new_pair();
    Exchanges::with(&state, id, |exchange| exchange.abort = Some(abort));
    let operation = async move {
        let sending = match sent {
            Ok(sending) => sending,
            Err(error) => return failed(&error, ""),
        };
        let sent = Abortable::new(sending, registration).await;
        drop(share);
        match sent {
            Ok(Ok(response)) => Outcome::Fetched(Box::new(Fetched { id, response })),
            Ok(Err(error)) => failed(&error, origin(&url)),
            Err(_aborted) => Outcome::TypeError(super::body::over(id).into()),
        }
    };
    if let Some(promise) = state.spawn(scope, key, operation) {
        rv.set(promise.into());
    }
}

/// What sends a request: to the app of a binding, or to whom its URL names.
fn client(state: &State, through: Option<u32>) -> Option<Rc<dyn HttpClient>> {
    let Some(through) = through else { return Some(state.services.http.clone()) };
    match state.services.bindings.get(through as usize)? {
        (_, Bound::App(app)) => Some(app.clone()),
        _ => None,
    }
}

/// What an exchange takes of the host's memory, about: its connection, its tasks, its place in tables.
const EXCHANGE: usize = 4 * 1024;
/// Larger bodies are counted by themselves.
const SMALL_BODY: usize = 16 * 1024;
/// What the host has of a response's body at most that nobody has read.
const AHEAD: usize = 64 * 1024;

/// Counts so many bytes as the guest's. `None`, with a `RangeError` pending, if there is no room for them.
fn hold(scope: &mut v8::PinScope<'_, '_>, state: &State, bytes: usize) -> Option<Share> {
    if !state.accounts.memory.has_room(bytes as u64) && !state.has_room(scope, bytes) {
        let message = ops::no_room(scope);
        ops::throw_range_error(scope, &message);
        return None;
    }
    let mut share = state.accounts.memory.hold();
    share.grow(bytes);
    Some(share)
}

fn failed(error: &HttpError, origin: &str) -> Outcome {
    let to = if origin.is_empty() { String::new() } else { format!(" to {origin}") };
    Outcome::Failed { message: format!("fetch{to}: {error}"), cause: error.to_string(), code: error.code() }
}

/// One more request in the name of this one, or the app's own.
fn count(state: &State, key: ScopeKey) -> Result<(), HttpError> {
    let limit = state.services.limits.get(Limit::Subrequests);
    let sent = state.with_scope(key, |scope| {
        scope.subrequests += 1;
        scope.subrequests
    });
    let sent = sent.unwrap_or_else(|| {
        let own = one_more(state.subrequests.get(), Instant::now());
        state.subrequests.set(own);
        own.0
    });
    if sent > limit { Err(HttpError::Limit(Limit::Subrequests, limit)) } else { Ok(()) }
}

/// How long a request counts that the app has sent by itself: its timers never end.
const WINDOW: Duration = Duration::from_secs(60);

/// The app's own requests and since when they are counted, with one more.
fn one_more((sent, since): (u64, Instant), now: Instant) -> (u64, Instant) {
    if now.duration_since(since) >= WINDOW { (1, now) } else { (sent + 1, since) }
}

/// The fields that each request has (Fetch Standard, "HTTP-network-or-cache fetch").
fn fill_in(headers: &mut HeaderList) {
    let encodings = if headers.get("range").is_some() { "identity" } else { "gzip, br, zstd, deflate" };
    for (name, value) in [
        ("accept", "*/*"),
        ("accept-language", "*"),
        ("user-agent", concat!("nexus/", env!("CARGO_PKG_VERSION"))),
        ("accept-encoding", encodings),
    ] {
        if headers.get(name).is_none() {
            headers.push(name.as_bytes(), value.as_bytes());
        }
    }
}

fn request_body(
    scope: &mut v8::PinScope<'_, '_>,
    state: &State,
    id: i32,
    args: &v8::FunctionCallbackArguments<'_>,
) -> Option<Body> {
    let value = args.get(4);
    if value.is_null() {
        return Some(Body::Empty);
    }
    if value.is_true() {
        let length = v8::Local::<v8::Number>::try_from(args.get(5)).map(|length| length.value() as u64).ok();
        let (writer, body) = pipe(PIPE, length);
        Exchanges::with(state, id, |exchange| exchange.upload = Some(Rc::new(writer)));
        return Some(body);
    }
    if value.is_number() {
        let source = arg_i32(args, 4);
        let taken = take(state, source);
        if taken.is_none() {
            throw_type_error(scope, super::body::over(source));
        }
        return taken;
    }
    let mut bytes = Vec::new();
    if let Ok(string) = v8::Local::<v8::String>::try_from(value) {
        let size = ops::utf8_size(scope, string);
        if !ops::room(scope, size) {
            return None;
        }
        ops::write_utf8(scope, string, &mut bytes);
    } else {
        if !ops::room(scope, ops::byte_length(value)) {
            return None;
        }
        ops::read_bytes(value, &mut bytes);
    }
    Some(Body::Full(state.accounts.memory.body(bytes)))
}

/// The body that the host holds under this number, of a request or (below 0) of a response, as it comes. Nobody else
/// reads it from here on.
pub(super) fn take(state: &State, source: i32) -> Option<Body> {
    if source < 0 {
        let taken = Exchanges::with(state, source, |exchange| exchange.body.take())?;
        let body = taken.map_or(Body::Full(Bytes::new()), |body| Body::Stream(Box::new(Echo(body))));
        Exchanges::close(state, source);
        return Some(body);
    }
    let key = ScopeKey(source as u32);
    let taken = state.with_scope(key, |scope| std::mem::replace(&mut scope.incoming, Incoming::Read))?;
    Some(match taken {
        Incoming::Stream(stream) => Body::Stream(Box::new(Echo(stream))),
        Incoming::Full(bytes) => Body::Full(bytes),
        Incoming::Empty | Incoming::Read => Body::Full(Bytes::new()),
    })
}

/// A response to a request of the guest's, on its way to JavaScript.
pub(crate) struct Fetched {
    id: i32,
    response: OutboundResponse,
}

impl std::fmt::Debug for Fetched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Fetched({}, {})", self.id, self.response.status)
    }
}

impl Fetched {
    /// What `fetchSend` promises. `None` if there is no room for it.
    pub(crate) fn into_value<'s>(self, scope: &mut v8::PinScope<'s, '_>) -> Option<v8::Local<'s, v8::Value>> {
        let OutboundResponse { status, reason, headers, body } = self.response;
        let unread = match &body {
            Body::Empty => 0,
            Body::Full(bytes) => bytes.len(),
            body => body
                .exact_length()
                .map_or(AHEAD, |length| usize::try_from(length).unwrap_or(AHEAD).min(AHEAD)),
        };
        let state = State::of(scope);
        let held = EXCHANGE + unread;
        let needed = held + headers.byte_length() * 2;
        if !state.accounts.memory.has_room(needed as u64) && !state.has_room(scope, needed) {
            return None;
        }
        let mut share = state.accounts.memory.hold();
        share.grow(held);
        let source = match body {
            Body::Empty => None,
            Body::Full(bytes) => pipe_of(bytes),
            Body::Stream(source) => Some(source),
        };
        // A part of what was encoded as a whole is nothing that could be decoded (RFC 9110, section 15.3.7).
        let is_whole = source.is_some() && status != 206;
        let coding = headers.get("content-encoding").and_then(fetched::coding).filter(|_| is_whole);
        let kind = match (&source, coding) {
            (None, _) => 0,
            (Some(_), None) => 1,
            (Some(_), Some(_)) => 2,
        };
        Exchanges::with(&state, self.id, |exchange| {
            exchange.abort = None;
            exchange.coding = coding;
            exchange.share = Some(share);
            exchange.body = source.map(|source| Rc::new(RefCell::new(source)));
        });
        let mut list: Vec<v8::Local<'_, v8::Value>> = Vec::with_capacity(headers.len() * 2);
        for (name, value) in headers.iter() {
            // They are those of what was sent, which the guest never sees.
            if coding.is_some() && (name == b"content-encoding" || name == b"content-length") {
                continue;
            }
            let name = v8::String::new_from_one_byte(scope, name, v8::NewStringType::Internalized);
            list.push(name.unwrap_or_else(|| v8::String::empty(scope)).into());
            list.push(ops::latin1_string(scope, value).into());
        }
        let list = v8::Array::new_with_elements(scope, &list).into();
        let status = v8::Integer::new(scope, i32::from(status)).into();
        let reason = ops::latin1_string(scope, &reason).into();
        let kind = v8::Integer::new(scope, kind).into();
        Some(v8::Array::new_with_elements(scope, &[status, reason, kind, list]).into())
    }
}

fn pipe_of(bytes: Bytes) -> Option<Box<dyn nexus_guest::BodySource>> {
    let (writer, body) = pipe(usize::MAX, Some(bytes.len() as u64));
    writer.write(bytes);
    writer.finish();
    match body {
        Body::Stream(source) => Some(source),
        Body::Empty | Body::Full(_) => None,
    }
}

/// `fetchAbort(id)`: the exchange is over at once. What is under way of it resolves to null.
fn op_fetch_abort(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments<'_>,
    _rv: v8::ReturnValue<'_, v8::Value>,
) {
    let state = State::of(scope);
    Exchanges::close(&state, arg_i32(&args, 0));
    state.wake();
}

/// `isEncoded(source)`: whether the body of this response is decoded on its way to JavaScript.
fn op_is_encoded(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments<'_>,
    mut rv: v8::ReturnValue<'_, v8::Value>,
) {
    let state = State::of(scope);
    rv.set_bool(Exchanges::with(&state, arg_i32(&args, 0), |exchange| exchange.coding).flatten().is_some());
}

/// `takesEncoding(id, source)`: whether the client of the request `id` has said that it takes the encoding of the response
/// `source`.
fn op_takes_encoding(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments<'_>,
    mut rv: v8::ReturnValue<'_, v8::Value>,
) {
    let state = State::of(scope);
    let coding = Exchanges::with(&state, arg_i32(&args, 1), |exchange| exchange.coding).flatten();
    let takes = coding.is_some_and(|coding| {
        let accepts = |value: &[u8]| fetched::accepts(value, coding);
        let key = ScopeKey(arg_i32(&args, 0) as u32);
        state.with_scope(key, |scope| scope.headers.get("accept-encoding").is_some_and(accepts)) == Some(true)
    });
    rv.set_bool(takes);
}

/// `integrityOpen(holder, metadata)`: a number for the others. What is given to `integrityUpdate` is held against the
/// metadata (Subresource Integrity, section 3.3).
fn op_integrity_open<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    let Ok(holder) = v8::Local::<v8::Object>::try_from(args.get(0)) else { return };
    let Some(metadata) = ops::to_rust_string(scope, args.get(1)) else { return };
    let check = Check::new(&metadata);
    let size = metadata.len() + std::mem::size_of::<Check>();
    let id = Held::open(scope, holder, check, size);
    rv.set(v8::Integer::new_from_unsigned(scope, id).into());
}

/// `integrityUpdate(id, bytes, from, length)`: so many of the bytes, as far as there are.
fn op_integrity_update(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments<'_>,
    _rv: v8::ReturnValue<'_, v8::Value>,
) {
    let (from, length) = (arg_u32(&args, 2) as usize, arg_u32(&args, 3) as usize);
    let id = arg_u32(&args, 0);
    Held::with(scope, id, |check: &mut Check| {
        with_bytes(args.get(1), |bytes| {
            let rest = bytes.get(from..).unwrap_or_default();
            check.update(&rest[..rest.len().min(length)]);
        });
        ((), 0)
    });
}

/// `integrityClose(id)`: whether the bytes were what the metadata says; true if that says nothing that is known.
fn op_integrity_close(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments<'_>,
    mut rv: v8::ReturnValue<'_, v8::Value>,
) {
    let id = arg_u32(&args, 0);
    rv.set_bool(Held::with(scope, id, |check: &mut Check| (check.matches(), 0)).unwrap_or(false));
    Held::<Check>::close(scope, id);
}

/// `dataUrl(url)`: `[type, bytes]` of a `data:` URL without its fragment; the type is unparsed. Null if it is none.
fn op_data_url<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    let Some(url) = ops::to_rust_string(scope, args.get(0)) else { return };
    let Some((kind, bytes)) = data_url::process(&url) else {
        rv.set_null();
        return;
    };
    let kind = v8::String::new(scope, &kind).unwrap_or_else(|| v8::String::empty(scope)).into();
    match ops::uint8_array(scope, &bytes) {
        Some(bytes) => rv.set(v8::Array::new_with_elements(scope, &[kind, bytes.into()]).into()),
        None => {
            let message = ops::no_room(scope);
            ops::throw_range_error(scope, &message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_app_sends_by_itself_counts_for_a_minute() {
        let begin = Instant::now();
        let mut own = (0, begin);
        for second in 0..60 {
            own = one_more(own, begin + Duration::from_secs(second));
        }
        assert_eq!(own, (60, begin));
        let later = begin + WINDOW;
        own = one_more(own, later);
        assert_eq!(own, (1, later));
        assert_eq!(one_more(own, later + Duration::from_secs(1)), (2, later));
    }

    #[test]
    fn an_origin_is_what_stands_before_the_path() {
        for (url, expected) in [
            ("http://a/", "http://a"),
            ("https://a.example:8443/b/c?d=/e", "https://a.example:8443"),
            ("http://[::1]:80/", "http://[::1]:80"),
            ("http://a", "http://a"),
            ("", ""),
        ] {
            assert_eq!(origin(url), expected);
        }
    }
}
