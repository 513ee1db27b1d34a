//! Operations: what a guest waits for outside of JavaScript, each with the promise that it settles.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::{AbortHandle, Abortable, LocalBoxFuture};
use futures_util::stream::{FuturesUnordered, Stream};

use crate::ops;
use crate::scope::ScopeKey;
use crate::state::State;
use crate::web::crypto_work;
use crate::web::fetch::Fetched;
use crate::web::fetched::Exchanges;
use crate::web::{kv, sql};

/// What an operation gave.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// `null`: a stream's end.
    Null,
    /// A number.
    Number(u32),
    /// A `Uint8Array`.
    Bytes(Bytes),
    /// A string, from UTF-8 without its byte order mark.
    Text(Bytes),
    /// What `fetchSend` promises.
    Fetched(Box<Fetched>),
    /// The next chunk of an encoded body, `None` at its end; `true` for JavaScript, which then reads on.
    Encoded(i32, Option<Bytes>),
    /// What cryptography gave, or why it did not.
    Calculated(crypto_work::Result),
    /// What a key-value store gave, or why it did not.
    Kv(Box<kv::Told>),
    /// What a database gave, or why it did not.
    Sql(Box<sql::Told>),
    /// A rejection with a `TypeError` whose cause is an `Error` with a code.
    Failed { message: String, cause: String, code: &'static str },
    /// A rejection with a `TypeError`.
    TypeError(String),
    /// A rejection with a `RangeError`.
    RangeError(String),
}

impl Outcome {
    /// The value for JavaScript; the error's side is a rejection.
    pub(crate) fn into_value<'s>(
        self,
        scope: &mut v8::PinScope<'s, '_>,
    ) -> Result<v8::Local<'s, v8::Value>, v8::Local<'s, v8::Value>> {
        let too_large = |scope: &mut v8::PinScope<'s, '_>| {
            let message = ops::no_room(scope);
            range_error(scope, &message)
        };
        match self {
            Outcome::Null => Ok(v8::null(scope).into()),
            Outcome::Number(n) => Ok(v8::Integer::new_from_unsigned(scope, n).into()),
            Outcome::Bytes(bytes) => match ops::uint8_array(scope, &bytes) {
                Some(array) => Ok(array.into()),
                None => Err(too_large(scope)),
            },
            Outcome::Text(bytes) => {
                let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
                if !ops::has_room(scope, text.len() * 2) {
                    return Err(too_large(scope));
                }
                match v8::String::new_from_utf8(scope, text, v8::NewStringType::Normal) {
                    Some(string) => Ok(string.into()),
                    None => Err(too_large(scope)),
                }
            }
            Outcome::Fetched(fetched) => match fetched.into_value(scope) {
                Some(value) => Ok(value),
                None => Err(too_large(scope)),
            },
            Outcome::Encoded(id, chunk) => {
                Exchanges::with(&State::of(scope), id, |exchange| exchange.feed(chunk));
                Ok(v8::Boolean::new(scope, true).into())
            }
            Outcome::Calculated(result) => crypto_work::to_box(scope, result).ok_or_else(|| too_large(scope)),
            Outcome::Kv(told) => kv::to_value(scope, *told),
            Outcome::Sql(told) => sql::to_value(scope, *told),
            Outcome::Failed { message, cause, code } => Err(error_with_cause(scope, &message, &cause, code)),
            Outcome::TypeError(message) => {
                let message = message_string(scope, &message);
                Err(v8::Exception::type_error(scope, message))
            }
            Outcome::RangeError(message) => Err(range_error(scope, &message)),
        }
    }
}

/// A `TypeError` whose cause is an `Error` with a `code`.
pub(crate) fn error_with_cause<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    message: &str,
    cause: &str,
    code: &str,
) -> v8::Local<'s, v8::Value> {
    let text = message_string(scope, message);
    let error = v8::Exception::type_error(scope, text);
    let text = message_string(scope, cause);
    let cause = v8::Exception::error(scope, text);
    let code = message_string(scope, code).into();
    for (holder, name, value) in [(cause, "code", code), (error, "cause", cause)] {
        let name = message_string(scope, name).into();
        if let Ok(holder) = v8::Local::<v8::Object>::try_from(holder) {
            holder.define_own_property(scope, name, value, v8::PropertyAttribute::DONT_ENUM);
        }
    }
    error
}

fn message_string<'s>(scope: &mut v8::PinScope<'s, '_>, message: &str) -> v8::Local<'s, v8::String> {
    v8::String::new(scope, message).unwrap_or_else(|| v8::String::empty(scope))
}

fn range_error<'s>(scope: &mut v8::PinScope<'s, '_>, message: &str) -> v8::Local<'s, v8::Value> {
    let message = message_string(scope, message);
    v8::Exception::range_error(scope, message)
}

/// The operations of a request, by their numbers: what cancels them.
pub(crate) type Handles = HashMap<u64, AbortHandle>;

/// A finished operation.
pub(crate) struct Finished {
    pub(crate) id: u64,
    pub(crate) scope: ScopeKey,
    pub(crate) resolver: v8::Global<v8::PromiseResolver>,
    pub(crate) outcome: Outcome,
}

/// The operations of one guest.
#[derive(Default)]
pub(crate) struct Operations {
    running: FuturesUnordered<Abortable<LocalBoxFuture<'static, Finished>>>,
    /// Those that were neither finished nor cancelled.
    live: usize,
    last: u64,
}

impl Operations {
    /// Starts an operation. What is given goes into its scope's [`Handles`]; see [`Operations::cancel`].
    pub(crate) fn start(
        &mut self,
        scope: ScopeKey,
        resolver: v8::Global<v8::PromiseResolver>,
        future: impl Future<Output = Outcome> + 'static,
    ) -> (u64, AbortHandle) {
        self.last += 1;
        let id = self.last;
        let (abort, registration) = AbortHandle::new_pair();
        let future = async move { Finished { id, scope, resolver, outcome: future.await } };
        self.running.push(Abortable::new(Box::pin(future), registration));
        self.live += 1;
        (id, abort)
    }

    /// Cancels these operations: they are dropped before the loop polls anything again.
    pub(crate) fn cancel(&mut self, handles: &mut Handles) {
        self.live = self.live.saturating_sub(handles.len());
        for (_, abort) in handles.drain() {
            abort.abort();
        }
    }

    /// The next finished operation, if there is one; else `None`, and the task is woken when there is.
    pub(crate) fn poll_finished(&mut self, cx: &mut Context<'_>) -> Option<Finished> {
        loop {
            match Pin::new(&mut self.running).poll_next(cx) {
                Poll::Ready(Some(Ok(finished))) => {
                    self.live = self.live.saturating_sub(1);
                    return Some(finished);
                }
                Poll::Ready(Some(Err(_cancelled))) => {}
                Poll::Ready(None) | Poll::Pending => return None,
            }
        }
    }

    /// How many operations are under way.
    pub(crate) fn len(&self) -> usize {
        self.live
    }
}
