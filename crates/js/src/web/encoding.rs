//! Natives of `encoding.js`: UTF-8 both ways, the legacy encodings, base64.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use encoding_rs::{CoderResult, Decoder, DecoderResult, Encoding};

use super::base64;
use crate::memory::Share;
use crate::ops::{
    self, arg_u32, byte_length, latin1_string, room, throw_range_error, throw_type_error, to_rust_string,
};
use crate::state::State;

pub(crate) const OPS: &[ops::Op] = ops::ops![
    encodeUtf8 => op_encode_utf8,
    encodeUtf8Into => op_encode_utf8_into,
    decodeUtf8 => op_decode_utf8,
    encodingName => op_encoding_name,
    decoderOpen => op_decoder_open,
    decoderWrite => op_decoder_write,
    atob => op_atob,
    btoa => op_btoa,
];

/// More than V8 keeps of a view on its own heap, in any build (64 bytes; `v8::TYPED_ARRAY_MAX_SIZE_IN_HEAP` may be
/// that of another build than the one that was linked, and V8 aborts if the room is too small).
const ON_HEAP: usize = 256;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// Hands the bytes of a view or a buffer to `look`, without copying them where V8 keeps them outside its heap;
/// `None` if the value is neither. No JavaScript runs while `look` has them.
fn with_bytes<R>(value: v8::Local<'_, v8::Value>, look: impl FnOnce(&[u8]) -> R) -> Option<R> {
    if let Ok(view) = v8::Local::<v8::ArrayBufferView>::try_from(value) {
        let mut storage = [0; ON_HEAP];
        return Some(look(view.get_contents(&mut storage)));
    }
    let buffer = v8::Local::<v8::ArrayBuffer>::try_from(value).ok()?;
    let bytes = match buffer.data() {
        // SAFETY: the store has this many bytes and `buffer` keeps it alive; nothing writes to it or detaches it
        // while no JavaScript runs.
        Some(data) => unsafe { std::slice::from_raw_parts(data.as_ptr().cast::<u8>(), buffer.byte_length()) },
        None => &[],
    };
    Some(look(bytes))
}

/// A string of UTF-8, ill-formed sequences replaced as the Encoding Standard says. Throws if it would be too long.
fn utf8_string<'s>(scope: &mut v8::PinScope<'s, '_>, bytes: &[u8]) -> Option<v8::Local<'s, v8::String>> {
    let string = if bytes.len() > v8::String::MAX_LENGTH {
        None
    } else if bytes.is_ascii() {
        v8::String::new_from_one_byte(scope, bytes, v8::NewStringType::Normal)
    } else {
        v8::String::new_from_utf8(scope, bytes, v8::NewStringType::Normal)
    };
    if string.is_none() {
        throw_range_error(scope, "the text is longer than a string can be");
    }
    string
}

/// `encodeUtf8(string)`: a `Uint8Array`.
fn op_encode_utf8<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    let Ok(string) = v8::Local::<v8::String>::try_from(args.get(0)) else { return };
    let length = string.utf8_length(scope);
    if !room(scope, length) {
        return;
    }
    let buffer = v8::ArrayBuffer::new(scope, length);
    if let Some(data) = buffer.data() {
        // SAFETY: the store was just made with this length, zeroed, and nobody else sees it yet.
        let bytes = unsafe { std::slice::from_raw_parts_mut(data.as_ptr().cast::<u8>(), length) };
        string.write_utf8_v2(scope, bytes, v8::WriteFlags::kReplaceInvalidUtf8, None);
    }
    if let Some(array) = v8::Uint8Array::new(scope, buffer, 0, length) {
        rv.set(array.into());
    }
}

/// `encodeUtf8Into(string, uint8Array)`: `[UTF-16 units read, bytes written]`.
fn op_encode_utf8_into<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    let Ok(string) = v8::Local::<v8::String>::try_from(args.get(0)) else { return };
    let Ok(view) = v8::Local::<v8::Uint8Array>::try_from(args.get(1)) else { return };
    let (mut read, mut written) = (0, 0);
    let (offset, length) = (view.byte_offset(), view.byte_length());
    // Asking for the buffer moves a small array's bytes out of V8's heap, where they can be written to.
    if length > 0
        && let Some(buffer) = view.buffer(scope)
        && let Some(data) = buffer.data()
    {
        // SAFETY: V8 keeps a view inside its buffer, no JavaScript runs meanwhile, and `buffer` keeps the store.
        let bytes = unsafe { std::slice::from_raw_parts_mut(data.as_ptr().cast::<u8>().add(offset), length) };
        written = string.write_utf8_v2(scope, bytes, v8::WriteFlags::kReplaceInvalidUtf8, Some(&mut read));
    }
    let counts = [read, written].map(|count| v8::Number::new(scope, count as f64).into());
    rv.set(v8::Array::new_with_elements(scope, &counts).into());
}

/// `decodeUtf8(bytes, fatal, ignoreBOM)`: the text of a whole input; `undefined` if it is fatal and ill-formed.
fn op_decode_utf8<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    let (fatal, keep_bom) = (args.get(1).is_true(), args.get(2).is_true());
    // Two bytes a character are the most that V8 takes.
    if !room(scope, byte_length(args.get(0)) * 2) {
        return;
    }
    let found = with_bytes(args.get(0), |bytes| {
        let bytes = if keep_bom { bytes } else { bytes.strip_prefix(BOM).unwrap_or(bytes) };
        if fatal && Encoding::utf8_valid_up_to(bytes) < bytes.len() {
            return;
        }
        if let Some(string) = utf8_string(scope, bytes) {
            rv.set(string.into());
        }
    });
    if found.is_none() {
        throw_type_error(scope, "TextDecoder.decode: not an ArrayBuffer or a view of one");
    }
}

/// `encodingName(label)`: the encoding's name in lower case; `undefined` if the label is unknown.
fn op_encoding_name<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    let Some(label) = to_rust_string(scope, args.get(0)) else { return };
    if let Some(encoding) = Encoding::for_label_no_replacement(label.as_bytes()) {
        rv.set(latin1_string(scope, encoding.name().to_ascii_lowercase().as_bytes()).into());
    }
}

/// What an open decoder takes of the host's memory, about.
const DECODER: usize = 512;

/// The decoders of unfinished streams of one isolate.
#[derive(Default)]
struct Decoders {
    last: u32,
    open: HashMap<u32, (Decoder, v8::Weak<v8::Object>, Share)>,
}

fn decoders(isolate: &mut v8::Isolate) -> Rc<RefCell<Decoders>> {
    if let Some(decoders) = isolate.get_slot::<Rc<RefCell<Decoders>>>() {
        return decoders.clone();
    }
    let decoders = Rc::<RefCell<Decoders>>::default();
    isolate.set_slot(decoders.clone());
    decoders
}

/// `decoderOpen(holder, encoding, ignoreBOM)`: a number for `decoderWrite`, from 1. The decoder lives until its
/// stream's end, an error, or the end of `holder`, so that streams which are given up leave nothing behind.
fn op_decoder_open<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    let Ok(holder) = v8::Local::<v8::Object>::try_from(args.get(0)) else { return };
    let Some(name) = to_rust_string(scope, args.get(1)) else { return };
    let Some(encoding) = Encoding::for_label(name.as_bytes()) else { return };
    let decoder = if args.get(2).is_true() {
        encoding.new_decoder_without_bom_handling()
    } else {
        encoding.new_decoder_with_bom_removal()
    };
    let decoders = decoders(scope);
    let id = {
        let mut table = decoders.borrow_mut();
        loop {
            table.last = table.last.checked_add(1).unwrap_or(1);
            if !table.open.contains_key(&table.last) {
                break table.last;
            }
        }
    };
    let table = Rc::downgrade(&decoders);
    let finalizer = Box::new(move |_: &mut v8::Isolate| {
        if let Some(table) = table.upgrade() {
            let dropped = table.borrow_mut().open.remove(&id);
            drop(dropped);
        }
    });
    let weak = v8::Weak::with_finalizer(scope, holder, finalizer);
    let mut share = State::of(scope).accounts.memory.hold();
    share.grow(DECODER);
    decoders.borrow_mut().open.insert(id, (decoder, weak, share));
    rv.set(v8::Number::new(scope, f64::from(id)).into());
}

/// `decoderWrite(id, bytes, fatal, last)`: the text so far; `undefined` if it is fatal and ill-formed, which ends
/// the decoder as `last` does.
fn op_decoder_write<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    let id = arg_u32(&args, 0);
    let (fatal, last) = (args.get(2).is_true(), args.get(3).is_true());
    // Three bytes a byte here, and two in V8.
    if !room(scope, byte_length(args.get(1)) * 5) {
        return;
    }
    let decoders = decoders(scope);
    let taken = decoders.borrow_mut().open.remove(&id);
    let Some((mut decoder, weak, share)) = taken else { return };
    let text = with_bytes(args.get(1), |bytes| decode(&mut decoder, bytes, fatal, last)).flatten();
    let Some(text) = text else { return };
    if !last {
        decoders.borrow_mut().open.insert(id, (decoder, weak, share));
    }
    if let Some(string) = utf8_string(scope, text.as_bytes()) {
        rv.set(string.into());
    }
}

/// One step of a stream; `None` if it is ill-formed and that is fatal.
fn decode(decoder: &mut Decoder, mut bytes: &[u8], fatal: bool, last: bool) -> Option<String> {
    let mut text = String::new();
    loop {
        // Room for the worst case is asked for in pieces: three bytes each is seldom what is needed.
        text.reserve(decoder.max_utf8_buffer_length(bytes.len().min(1 << 20))?);
        let (read, full) = if fatal {
            let (result, read) = decoder.decode_to_string_without_replacement(bytes, &mut text, last);
            match result {
                DecoderResult::Malformed(..) => return None,
                DecoderResult::OutputFull => (read, true),
                DecoderResult::InputEmpty => (read, false),
            }
        } else {
            let (result, read, _) = decoder.decode_to_string(bytes, &mut text, last);
            (read, result == CoderResult::OutputFull)
        };
        if !full {
            return Some(text);
        }
        bytes = &bytes[read..];
    }
}

/// `atob(string)`: the bytes as a string; `undefined` if it is not base64.
fn op_atob<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    let Ok(string) = v8::Local::<v8::String>::try_from(args.get(0)) else { return };
    if !room(scope, string.length() * 4) {
        return;
    }
    let decoded = match v8::ValueView::new(scope, string).data() {
        v8::ValueViewData::OneByte(bytes) => base64::decode_forgiving(bytes),
        v8::ValueViewData::TwoByte(units) => units
            .iter()
            .map(|&unit| u8::try_from(unit).ok())
            .collect::<Option<Vec<u8>>>()
            .and_then(|bytes| base64::decode_forgiving(&bytes)),
    };
    if let Some(bytes) = decoded {
        rv.set(latin1_string(scope, &bytes).into());
    }
}

/// `btoa(string)`: the base64 of the characters as bytes; `undefined` if one is above U+00FF.
fn op_btoa<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    let Ok(string) = v8::Local::<v8::String>::try_from(args.get(0)) else { return };
    if !room(scope, string.length() * 4) {
        return;
    }
    let encoded = match v8::ValueView::new(scope, string).data() {
        v8::ValueViewData::OneByte(bytes) => Some(base64::encode(bytes)),
        // V8 keeps some strings in two bytes that would fit in one.
        v8::ValueViewData::TwoByte(units) => units
            .iter()
            .map(|&unit| u8::try_from(unit).ok())
            .collect::<Option<Vec<u8>>>()
            .map(|bytes| base64::encode(&bytes)),
    };
    let Some(encoded) = encoded else { return };
    match v8::String::new_from_one_byte(scope, &encoded, v8::NewStringType::Normal) {
        Some(string) => rv.set(string.into()),
        None => throw_range_error(scope, "btoa: the result is longer than a string can be"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(encoding: &'static Encoding, pieces: &[&[u8]], fatal: bool) -> Option<String> {
        let mut decoder = encoding.new_decoder_with_bom_removal();
        let mut text = String::new();
        for piece in pieces {
            text += &decode(&mut decoder, piece, fatal, false)?;
        }
        text += &decode(&mut decoder, &[], fatal, true)?;
        Some(text)
    }

    #[test]
    fn a_truncated_sequence_at_the_end_is_replaced_or_fatal() {
        assert_eq!(whole(encoding_rs::UTF_8, &[b"a\xe2\x82"], false).as_deref(), Some("a\u{fffd}"));
        assert_eq!(whole(encoding_rs::UTF_8, &[b"a\xe2\x82"], true), None);
    }

    #[test]
    fn a_bom_is_removed_at_the_start_only() {
        let pieces: [&[u8]; 3] = [b"\xef", b"\xbb\xbfa", b"\xef\xbb\xbfb"];
        assert_eq!(whole(encoding_rs::UTF_8, &pieces, true).as_deref(), Some("a\u{feff}b"));
    }

    proptest! {
        #[test]
        fn the_text_does_not_depend_on_how_the_bytes_are_cut(
            bytes in prop::collection::vec(any::<u8>(), 0..80),
            cuts in prop::collection::vec(0usize..80, 0..5),
            which in 0usize..4,
            fatal: bool,
        ) {
            let encoding =
                [encoding_rs::UTF_8, encoding_rs::UTF_16LE, encoding_rs::SHIFT_JIS, encoding_rs::GB18030][which];
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            prop_assert_eq!(whole(encoding, &pieces, fatal), whole(encoding, &[&bytes], fatal));
        }
    }
}
