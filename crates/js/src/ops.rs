//! Ops: the native functions behind the Web APIs' JavaScript.
//!
//! Each file of `web/` lists its own with [`ops!`]. They are attached to the internal `nexus.ops` object
//! after the snapshot was loaded, so that the snapshot refers to no native address.

use std::panic::{AssertUnwindSafe, catch_unwind};

use nexus_core::{Limit, Limits};
use nexus_guest::StopReason;

use crate::state::State;

/// A native function and its name in JavaScript.
pub(crate) struct Op {
    /// The property of `nexus.ops`.
    pub(crate) name: &'static str,
    /// Makes the function in the current context.
    pub(crate) build: for<'s, 'i> fn(&mut v8::PinScope<'s, 'i>) -> Option<v8::Local<'s, v8::Function>>,
}

/// Lists ops as `&[Op]`: `ops![urlParse => op_url_parse, …]`.
///
/// Each is wrapped so that a panic stays inside: it may not unwind through V8's frames.
macro_rules! ops {
    ($($name:ident => $function:path),* $(,)?) => {
        &[$($crate::ops::Op {
            name: stringify!($name),
            build: |scope| {
                fn guarded<'s>(
                    scope: &mut v8::PinScope<'s, '_>,
                    args: v8::FunctionCallbackArguments<'s>,
                    rv: v8::ReturnValue<'s, v8::Value>,
                ) {
                    $crate::ops::guard(stringify!($name), scope, args, rv, $function);
                }
                v8::Function::builder(guarded)
                    .constructor_behavior(v8::ConstructorBehavior::Throw)
                    .build(scope)
            },
        }),*]
    };
}
pub(crate) use ops;

/// Runs `op`; a panic in it ends the guest, and only the guest.
pub(crate) fn guard<'s, 'i>(
    name: &'static str,
    scope: &mut v8::PinScope<'s, 'i>,
    args: v8::FunctionCallbackArguments<'s>,
    rv: v8::ReturnValue<'s, v8::Value>,
    op: impl FnOnce(&mut v8::PinScope<'s, 'i>, v8::FunctionCallbackArguments<'s>, v8::ReturnValue<'s, v8::Value>),
) {
    // The guest is dropped after a panic, so no broken state of it is seen again.
    if catch_unwind(AssertUnwindSafe(|| op(scope, args, rv))).is_err() {
        State::of(scope).stop(StopReason::Engine, format!("the native function {name} panicked"));
        scope.terminate_execution();
    }
}

/// Throws a `TypeError`.
pub(crate) fn throw_type_error(scope: &mut v8::PinScope<'_, '_>, message: &str) {
    if let Some(message) = v8::String::new(scope, message) {
        let error = v8::Exception::type_error(scope, message);
        scope.throw_exception(error);
    }
}

/// Throws a `RangeError`.
pub(crate) fn throw_range_error(scope: &mut v8::PinScope<'_, '_>, message: &str) {
    if let Some(message) = v8::String::new(scope, message) {
        let error = v8::Exception::range_error(scope, message);
        scope.throw_exception(error);
    }
}

/// What an op may take without asking, in bytes.
const FREE: usize = 256 * 1024;

/// Whether the guest may have this many bytes more, in V8's memory or the host's; see [`has_room`]. Throws a
/// `RangeError` if not.
pub(crate) fn room(scope: &mut v8::PinScope<'_, '_>, bytes: usize) -> bool {
    has_room(scope, bytes) || {
        let message = no_room(scope);
        throw_range_error(scope, &message);
        false
    }
}

/// Whether the guest may have this many bytes more, in V8's memory or the host's. Each op asks before it makes
/// something whose size is in the guest's hands: of large things V8 makes what it can and ends the process, or the
/// thread, if it cannot.
pub(crate) fn has_room(isolate: &mut v8::Isolate, bytes: usize) -> bool {
    bytes <= FREE || State::of(isolate).has_room(isolate, bytes)
}

/// Why there is no room.
pub(crate) fn no_room(isolate: &v8::Isolate) -> String {
    no_room_within(&State::of(isolate).services.limits)
}

/// The same for whoever has left the isolate.
pub(crate) fn no_room_within(limits: &Limits) -> String {
    format!("this takes more memory than the app's limit leaves ({})", limits.show(Limit::Memory))
}

/// A JavaScript string as UTF-8, lone surrogates replaced by U+FFFD (a USVString of Web IDL). Anything
/// but a string is the empty string: conversions are JavaScript's matter, for they can run guest code. `None`, with an
/// exception pending, if it and what is made of it (up to twelve times as many bytes as it has characters) do not fit
/// into the guest's memory.
pub(crate) fn to_rust_string(
    scope: &mut v8::PinScope<'_, '_>,
    value: v8::Local<'_, v8::Value>,
) -> Option<String> {
    let Ok(string) = v8::Local::<v8::String>::try_from(value) else { return Some(String::new()) };
    room(scope, string.length() * 12).then(|| string.to_rust_string_lossy(scope))
}

/// The bytes of a string's UTF-8, at least: exact only where that matters.
pub(crate) fn utf8_size(scope: &mut v8::PinScope<'_, '_>, string: v8::Local<'_, v8::String>) -> usize {
    let most = string.length() * 3;
    if most <= FREE { most } else { string.utf8_length(scope) }
}

/// Appends a string's UTF-8 to `out`; lone surrogates become U+FFFD. There is [`room`] for its [`utf8_size`].
pub(crate) fn write_utf8(
    scope: &mut v8::PinScope<'_, '_>,
    string: v8::Local<'_, v8::String>,
    out: &mut Vec<u8>,
) {
    let view = v8::ValueView::new(scope, string);
    match view.data() {
        v8::ValueViewData::OneByte(bytes) if bytes.is_ascii() => out.extend_from_slice(bytes),
        v8::ValueViewData::OneByte(bytes) => {
            out.reserve(bytes.len() + bytes.iter().filter(|byte| !byte.is_ascii()).count());
            out.extend(bytes.iter().flat_map(|&b| {
                let mut utf8 = [0; 2];
                let length = char::from(b).encode_utf8(&mut utf8).len();
                utf8.into_iter().take(length)
            }));
        }
        v8::ValueViewData::TwoByte(units) => {
            out.reserve(if units.len() <= FREE / 3 { units.len() * 3 } else { units.len() });
            for c in char::decode_utf16(units.iter().copied()) {
                let c = c.unwrap_or(char::REPLACEMENT_CHARACTER);
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
    }
}

/// Appends a string's characters as bytes (a ByteString of Web IDL, isomorphic-encoded); characters
/// above U+00FF become `?`, but JavaScript has refused those already.
pub(crate) fn write_latin1(
    scope: &mut v8::PinScope<'_, '_>,
    string: v8::Local<'_, v8::String>,
    out: &mut Vec<u8>,
) {
    let view = v8::ValueView::new(scope, string);
    match view.data() {
        v8::ValueViewData::OneByte(bytes) => out.extend_from_slice(bytes),
        v8::ValueViewData::TwoByte(units) => {
            out.extend(units.iter().map(|&u| u8::try_from(u).unwrap_or(b'?')))
        }
    }
}

/// A JavaScript string of these bytes, each one a character (isomorphic decoding).
pub(crate) fn latin1_string<'s>(scope: &mut v8::PinScope<'s, '_>, bytes: &[u8]) -> v8::Local<'s, v8::String> {
    v8::String::new_from_one_byte(scope, bytes, v8::NewStringType::Normal)
        .unwrap_or_else(|| v8::String::empty(scope))
}

/// Has V8 collect the garbage of a body's pieces soon. It does that when its heap of young objects is full, and counts the
/// buffers that they hold from 64 MB on: of pieces that are read and dropped there would be as much, in pages that the
/// processor's caches do not have. So a piece takes an eighth of its size there as well, for nothing.
fn press(scope: &mut v8::PinScope<'_, '_>, bytes: usize) {
    const PIECE: usize = 16 << 10;
    const WORD: usize = 4;
    if bytes >= PIECE {
        v8::scope!(let scope, scope);
        let words = bytes.min(32 * PIECE) / 8 / WORD;
        let _ = v8::Array::new(scope, i32::try_from(words).unwrap_or(0));
    }
}

/// A `Uint8Array` with a copy of these bytes, in a buffer of its own. `None` if there is no room for it.
pub(crate) fn uint8_array<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    bytes: &[u8],
) -> Option<v8::Local<'s, v8::Uint8Array>> {
    uint8_array_with(scope, bytes.len(), |made| made.copy_from_slice(bytes))
}

/// A new `Uint8Array` of this length, of zeroes that `fill` writes over; `None` if there is no room for it.
pub(crate) fn uint8_array_with<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    length: usize,
    fill: impl FnOnce(&mut [u8]),
) -> Option<v8::Local<'s, v8::Uint8Array>> {
    if !has_room(scope, length) {
        return None;
    }
    press(scope, length);
    let buffer = v8::ArrayBuffer::new(scope, length);
    fill(match buffer.data() {
        // SAFETY: the buffer was just made with this length, of zeroes, and nobody else sees it yet.
        Some(data) => unsafe { std::slice::from_raw_parts_mut(data.as_ptr().cast::<u8>(), length) },
        None => &mut [],
    });
    v8::Uint8Array::new(scope, buffer, 0, length)
}

/// The number of bytes of a view or a buffer; 0 if it is neither.
pub(crate) fn byte_length(value: v8::Local<'_, v8::Value>) -> usize {
    if let Ok(view) = v8::Local::<v8::ArrayBufferView>::try_from(value) {
        view.byte_length()
    } else {
        v8::Local::<v8::ArrayBuffer>::try_from(value).map_or(0, |buffer| buffer.byte_length())
    }
}

/// Appends the bytes of a view or a buffer to `out`; `false` if it is neither. There is [`room`] for them.
pub(crate) fn read_bytes(value: v8::Local<'_, v8::Value>, out: &mut Vec<u8>) -> bool {
    if let Ok(view) = v8::Local::<v8::ArrayBufferView>::try_from(value) {
        let length = view.byte_length();
        out.reserve(length);
        let copied = view.copy_contents_uninit(&mut out.spare_capacity_mut()[..length]);
        // SAFETY: the first `copied` bytes of the spare capacity were just written.
        unsafe { out.set_len(out.len() + copied) };
        true
    } else if let Ok(buffer) = v8::Local::<v8::ArrayBuffer>::try_from(value) {
        if let Some(data) = buffer.data() {
            // SAFETY: the store has this many bytes and no JavaScript runs meanwhile.
            out.extend_from_slice(unsafe {
                std::slice::from_raw_parts(data.as_ptr().cast::<u8>(), buffer.byte_length())
            });
        }
        true
    } else {
        false
    }
}

/// The op's argument `index` as an integer; 0 if it is no number.
pub(crate) fn arg_i32(args: &v8::FunctionCallbackArguments<'_>, index: i32) -> i32 {
    v8::Local::<v8::Number>::try_from(args.get(index)).map_or(0, |n| n.value() as i32)
}

/// The op's argument `index` as an unsigned integer; 0 if it is no number.
pub(crate) fn arg_u32(args: &v8::FunctionCallbackArguments<'_>, index: i32) -> u32 {
    v8::Local::<v8::Number>::try_from(args.get(index)).map_or(0, |n| n.value() as u32)
}
