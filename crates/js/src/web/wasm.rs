//! Native of `wasm.js`: whether a WebAssembly module would have memory that threads share.

use crate::ops::{self, byte_length, read_bytes, room};

pub(crate) const OPS: &[ops::Op] = ops::ops![wasmShares => op_wasm_shares];

/// `wasmShares(bytes)`: whether the module has a shared memory of its own, or may have for all that is understood.
fn op_wasm_shares<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    if !room(scope, byte_length(args.get(0))) {
        return;
    }
    let mut bytes = Vec::new();
    read_bytes(args.get(0), &mut bytes);
    rv.set_bool(shares(&bytes) != Some(false));
}

/// The section that declares memories.
const MEMORY: u8 = 5;
/// Flags of limits: a maximum follows; the memory is shared; its addresses have 64 bits; its page size follows.
const MAXIMUM: u8 = 1;
const SHARED: u8 = 2;
const WIDE: u8 = 4;
const PAGE_SIZE: u8 = 8;

/// Whether a module (WebAssembly Core Specification, section 5.5.16) declares a shared memory; `None` if that is not
/// understood. What is no module at all has none: V8 says what is wrong with it. Imported memories are no matter, for
/// where none is made there is none to import.
fn shares(module: &[u8]) -> Option<bool> {
    let Some(mut rest) = module.strip_prefix(b"\0asm\x01\0\0\0") else { return Some(false) };
    let mut shared = false;
    while let [id, after @ ..] = rest {
        rest = after;
        let size = usize::try_from(number(&mut rest)?).ok()?;
        let (section, after) = rest.split_at_checked(size)?;
        rest = after;
        if *id == MEMORY {
            shared |= section_shares(section)?;
        }
    }
    Some(shared)
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

    proptest! {
        #[test]
        fn any_bytes_are_read_to_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            shares(&bytes);
            shares(&module(&[&bytes]));
        }
    }
}
