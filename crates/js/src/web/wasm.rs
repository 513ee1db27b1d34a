//! Natives of `wasm.js`, and for imported modules: whether a WebAssembly module would have memory that threads share,
//! and what V8 will hold for it.

use crate::compiled::{Contents, Declared};
use crate::ops::{self, byte_length, read_bytes, room};
use crate::state::State;

pub(crate) const OPS: &[ops::Op] = ops::ops![
    wasmRefuses => op_wasm_refuses,
    wasmUnfit => op_wasm_unfit,
    wasmRefusesTag => op_wasm_refuses_tag,
    wasmHold => op_wasm_hold,
    wasmGrows => op_wasm_grows,
    wasmRefusesCall => op_wasm_refuses_call,
    wasmSuspends => op_wasm_suspends,
];

/// `wasmRefuses(bytes)`: why V8 must not see the module, or `undefined`. Throws a `RangeError` if there is no room.
fn op_wasm_refuses<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    let Some(contents) = contents(scope, args.get(0)) else { return };
    let reason = State::of(scope).compiled.refuses(scope, &contents);
    if let Some(reason) = reason.and_then(|reason| v8::String::new(scope, reason)) {
        rv.set(reason.into());
    }
}

/// `wasmRefusesTag(parameters)`: why a tag of these parameters, as text, must not be made, or `undefined`.
fn op_wasm_refuses_tag<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    let Some(parameters) = ops::to_rust_string(scope, args.get(0)) else { return };
    let reason = State::of(scope).compiled.refuses_types(Declared::Tag, 1, parameters.as_bytes());
    if let Some(reason) = reason.and_then(|reason| v8::String::new(scope, reason)) {
        rv.set(reason.into());
    }
}

/// `wasmUnfit(bytes)`: whether there must be no such module, though it may be valid.
fn op_wasm_unfit<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    if let Some(contents) = contents(scope, args.get(0)) {
        rv.set_bool(contents.unfit().is_some());
    }
}

/// `wasmHold(module, bytes)`: counts what was compiled of these bytes as long as the module is there. Gives why it must
/// not be, or `undefined`.
fn op_wasm_hold<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    let Ok(module) = v8::Local::<v8::Object>::try_from(args.get(0)) else { return };
    let Some(contents) = contents(scope, args.get(1)) else { return };
    let reason = State::of(scope).compiled.hold(scope, module, &contents);
    if let Some(reason) = reason.and_then(|reason| v8::String::new(scope, reason)) {
        rv.set(reason.into());
    }
}

/// `wasmGrows(buffer)`: counts the buffer of a memory that grows in place.
fn op_wasm_grows<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    _rv: v8::ReturnValue<'s, v8::Value>,
) {
    if let Ok(buffer) = v8::Local::<v8::ArrayBuffer>::try_from(args.get(0)) {
        State::of(scope).compiled.grows(scope, buffer);
    }
}

/// `wasmRefusesCall()`: why a call must not be made that may be suspended, or `undefined`.
fn op_wasm_refuses_call<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    _args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    let reason = State::of(scope).compiled.refuses_suspended(scope);
    if let Some(reason) = reason.and_then(|reason| v8::String::new(scope, reason)) {
        rv.set(reason.into());
    }
}

/// `wasmSuspends(promise)`: counts the call that this promise is of, if it is suspended.
fn op_wasm_suspends<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    _rv: v8::ReturnValue<'s, v8::Value>,
) {
    if let Ok(promise) = v8::Local::<v8::Promise>::try_from(args.get(0)) {
        State::of(scope).compiled.suspends(scope, promise);
    }
}

/// What a module has. `None`, with an exception pending, if there is no room to look, or
/// for what V8 will make of it.
fn contents(scope: &mut v8::PinScope<'_, '_>, bytes: v8::Local<'_, v8::Value>) -> Option<Contents> {
    if !room(scope, byte_length(bytes)) {
        return None;
    }
    let mut module = Vec::new();
    read_bytes(bytes, &mut module);
    let contents = scan(&module);
    drop(module);
    room(scope, contents.size()).then_some(contents)
}

/// The sections that matter.
const CUSTOM: u8 = 0;
const TYPE: u8 = 1;
const FUNCTION: u8 = 3;
const MEMORY: u8 = 5;
const CODE: u8 = 10;
/// How a type begins: an array, a structure, a function.
const TYPE_FORMS: [u8; 3] = [0x5e, 0x5f, 0x60];
/// Flags of limits: a maximum follows; the memory is shared; its addresses have 64 bits; its page size follows.
const MAXIMUM: u8 = 1;
const SHARED: u8 = 2;
const WIDE: u8 = 4;
const PAGE_SIZE: u8 = 8;

/// What is in a module (WebAssembly Core Specification, section 5.5.16), as far as that is understood. What is no module
/// at all has nothing: V8 says what is wrong with it. Imported memories are no matter, for where no shared one is made
/// there is none to import.
pub(crate) fn scan(module: &[u8]) -> Contents {
    let mut contents = Contents { bytes: module.len(), shares: Some(false), ..Contents::default() };
    if let Some(sections) = module.strip_prefix(b"\0asm\x01\0\0\0") {
        contents.shares = sections_share(sections, &mut contents);
    }
    contents
}

/// Whether the sections declare a shared memory; `None` if that is not understood. Counts all that they have until then.
fn sections_share(mut rest: &[u8], contents: &mut Contents) -> Option<bool> {
    let mut shares = false;
    while let [id, after @ ..] = rest {
        rest = after;
        let size = usize::try_from(number(&mut rest)?).unwrap_or(usize::MAX);
        let (section, after) = rest.split_at(size.min(rest.len()));
        // Whatever it is a list of, each entry has a byte at least.
        let entries =
            number(&mut { section }).map_or(0, |entries| entries.min(section.len() as u64) as usize);
        match *id {
            TYPE => {
                // Each type has one of these bytes; few others do. It takes as much as three other entries, and one
                // more for each ten parameters.
                let types = section.iter().filter(|byte| TYPE_FORMS.contains(byte)).count();
                contents.types += types;
                contents.type_bytes.extend_from_slice(section);
                contents.entries += types * 3 + section.len() / 10;
            }
            FUNCTION => contents.functions += entries,
            // The code's entries are the functions'.
            CUSTOM | CODE => {}
            _ => contents.entries += entries,
        }
        if size > rest.len() {
            return None;
        }
        if *id == MEMORY {
            shares |= section_shares(section)?;
        }
        rest = after;
    }
    Some(shares)
}

fn section_shares(mut section: &[u8]) -> Option<bool> {
    for _ in 0..number(&mut section)? {
        let [flags, rest @ ..] = section else { return None };
        section = rest;
        if flags & SHARED != 0 {
            return Some(true);
        }
        if flags & !(MAXIMUM | WIDE | PAGE_SIZE) != 0 {
            return None;
        }
        number(&mut section)?;
        for follows in [MAXIMUM, PAGE_SIZE] {
            if flags & follows != 0 {
                number(&mut section)?;
            }
        }
    }
    section.is_empty().then_some(false)
}

/// An unsigned number in LEB128.
fn number(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..70).step_by(7) {
        let [byte, rest @ ..] = *bytes else { return None };
        *bytes = rest;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn module(sections: &[&[u8]]) -> Vec<u8> {
        [&b"\0asm\x01\0\0\0"[..], &sections.concat()].concat()
    }

    #[test]
    fn a_shared_memory_is_seen_wherever_it_is_declared() {
        for (sections, expected) in [
            (&[][..], Some(false)),
            (&[&[5, 3, 1, 0, 1][..]], Some(false)),
            (&[&[5, 4, 1, 3, 1, 1]], Some(true)),
            (&[&[0, 1, 0], &[5, 0x84, 0x80, 0, 1, 3, 1, 1]], Some(true)),
            // The second of two; with 64 bits; with a page size.
            (&[&[5, 7, 2, 1, 1, 0x80, 1, 3, 1]], Some(true)),
            (&[&[5, 4, 1, 7, 1, 1]], Some(true)),
            (&[&[5, 5, 1, 9, 1, 1, 0]], Some(false)),
            // What is not understood.
            (&[&[5, 3, 1, 16, 1]], None),
            (&[&[5, 4, 1, 0, 1, 0]], None),
            (&[&[5, 9, 1]], None),
            (&[&[5, 0xff]], None),
        ] {
            assert_eq!(shares(&module(sections)), expected, "{sections:?}");
        }
        assert_eq!(shares(b"no module"), Some(false));
    }

    fn shares(module: &[u8]) -> Option<bool> {
        let sections = module.strip_prefix(b"\0asm\x01\0\0\0");
        sections.map_or(Some(false), |sections| sections_share(sections, &mut Contents::default()))
    }

    #[test]
    fn what_v8_keeps_for_each_entry_is_counted_and_claims_are_not_believed() {
        let contents = |sections| scan(&module(sections));
        let two = contents(&[&[0, 3, 1, b'x', 9], &[1, 4, 1, 0x60, 0, 0], &[3, 3, 2, 0, 0], &[7, 1, 0]]);
        assert_eq!((two.functions, two.entries, two.bytes), (2, 3, 8 + 5 + 6 + 5 + 3));
        assert_eq!((two.types, &two.type_bytes[..], two.shares), (1, &[1, 0x60, 0, 0][..], Some(false)));
        let cut = contents(&[&[1, 9, 1, 0x60, 0, 0]]);
        assert!(cut.types == 1 && cut.shares.is_none(), "what comes before the end counts");
        let claims = contents(&[&[3, 6, 0xff, 0xff, 0xff, 0xff, 0x0f, 0], &[6, 2, 0x7f, 0]]);
        assert_eq!((claims.functions, claims.entries), (6, 2));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            scan(&bytes);
            scan(&module(&[&bytes]));
        }
    }
}
