//! Natives of `encoding.js` and `text_streams.js`: UTF-8 both ways, the legacy encodings, base64.

use encoding_rs::{CoderResult, Decoder, DecoderResult, Encoding};

use super::base64;
use super::held::Held;
use super::utf8::{self, Decoded};
use crate::ops::{
    self, arg_u32, byte_length, latin1_string, room, throw_range_error, throw_type_error, to_rust_string,
};

pub(crate) const OPS: &[ops::Op] = ops::ops![
    encodeUtf8 => op_encode_utf8,
    encodeUtf8Into => op_encode_utf8_into,
    checkBufferSource => op_check_buffer_source,
    findEncoding => op_find_encoding,
    encodingName => op_encoding_name,
    decodeWhole => op_decode_whole,
    decoderOpen => op_decoder_open,
    decoderWrite => op_decoder_write,
    decoderClose => op_decoder_close,
    atob => op_atob,
    btoa => op_btoa,
];

/// More than V8 keeps of a view on its own heap, in any build (64 bytes; `v8::TYPED_ARRAY_MAX_SIZE_IN_HEAP` may be
/// that of another build than the one that was linked, and V8 aborts if the room is too small).
const ON_HEAP: usize = 256;

/// Hands the bytes of a view or a buffer to `look`, without copying them where V8 keeps them outside its heap;
/// `None` if the value is neither. No JavaScript runs while `look` has them.
pub(super) fn with_bytes<R>(value: v8::Local<'_, v8::Value>, look: impl FnOnce(&[u8]) -> R) -> Option<R> {
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

/// Whether a value is a buffer or a view of one; throws a `TypeError` if not. It may be resizable, or detached.
fn is_source(scope: &mut v8::PinScope<'_, '_>, value: v8::Local<'_, v8::Value>) -> bool {
    let is_source = value.is_array_buffer_view() || value.is_array_buffer();
    if !is_source {
        throw_type_error(scope, "not an ArrayBuffer or a view of one");
    }
    is_source
}

/// `checkBufferSource(value)`: throws a `TypeError` unless it is one.
fn op_check_buffer_source<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    _rv: v8::ReturnValue<'s, v8::Value>,
) {
    is_source(scope, args.get(0));
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

/// `encodeUtf8Into(string, uint8Array)`: the number of UTF-16 units read times 2^26 and that of bytes written; both in an
/// array if one of them is larger.
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
    if read.max(written) < 1 << 26 {
        rv.set_double(((read << 26) + written) as f64);
        return;
    }
    let counts = [read, written].map(|count| v8::Number::new(scope, count as f64).into());
    rv.set(v8::Array::new_with_elements(scope, &counts).into());
}

/// All encodings that a label can name, but `replacement`, which no `TextDecoder` has. UTF-8 is the first.
static ENCODINGS: [&Encoding; 39] = [
    encoding_rs::UTF_8,
    encoding_rs::IBM866,
    encoding_rs::ISO_8859_2,
    encoding_rs::ISO_8859_3,
    encoding_rs::ISO_8859_4,
    encoding_rs::ISO_8859_5,
    encoding_rs::ISO_8859_6,
    encoding_rs::ISO_8859_7,
    encoding_rs::ISO_8859_8,
    encoding_rs::ISO_8859_8_I,
    encoding_rs::ISO_8859_10,
    encoding_rs::ISO_8859_13,
    encoding_rs::ISO_8859_14,
    encoding_rs::ISO_8859_15,
    encoding_rs::ISO_8859_16,
    encoding_rs::KOI8_R,
    encoding_rs::KOI8_U,
    encoding_rs::MACINTOSH,
    encoding_rs::WINDOWS_874,
    encoding_rs::WINDOWS_1250,
    encoding_rs::WINDOWS_1251,
    encoding_rs::WINDOWS_1252,
    encoding_rs::WINDOWS_1253,
    encoding_rs::WINDOWS_1254,
    encoding_rs::WINDOWS_1255,
    encoding_rs::WINDOWS_1256,
    encoding_rs::WINDOWS_1257,
    encoding_rs::WINDOWS_1258,
    encoding_rs::X_MAC_CYRILLIC,
    encoding_rs::GBK,
    encoding_rs::GB18030,
    encoding_rs::BIG5,
    encoding_rs::EUC_JP,
    encoding_rs::ISO_2022_JP,
    encoding_rs::SHIFT_JIS,
    encoding_rs::EUC_KR,
    encoding_rs::UTF_16BE,
    encoding_rs::UTF_16LE,
    encoding_rs::X_USER_DEFINED,
];

/// `findEncoding(label)`: a number for the other ops; `undefined` if the label names none. 0 is UTF-8.
fn op_find_encoding<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    let Some(label) = to_rust_string(scope, args.get(0)) else { return };
    let Some(encoding) = Encoding::for_label_no_replacement(label.as_bytes()) else { return };
    if let Some(index) = ENCODINGS.iter().position(|&one| one == encoding) {
        rv.set_uint32(index as u32);
    }
}

/// `encodingName(encoding)`: its name in lower case.
fn op_encoding_name<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    if let Some(encoding) = ENCODINGS.get(arg_u32(&args, 0) as usize) {
        rv.set(latin1_string(scope, encoding.name().to_ascii_lowercase().as_bytes()).into());
    }
}

/// What a decoder has between two inputs.
struct Stream {
    decoder: Decoder,
    /// A byte order mark is dropped if it comes next: "BOM seen" of the standard is false.
    drops_bom: bool,
}

/// What a [`Stream`] takes, in bytes.
const STREAM: usize = 512;

/// So many UTF-16 units are decoded at once: they stay in the processor's cache.
const UNITS: usize = 16 * 1024;

/// A decoded piece.
enum Text {
    /// The input itself, a byte a character.
    Same,
    Units(Vec<u16>, usize),
    /// It is fatal and ill-formed.
    Malformed,
}

impl Stream {
    fn new(encoding: &'static Encoding, ignore_bom: bool) -> Self {
        let has_bom = [encoding_rs::UTF_8, encoding_rs::UTF_16BE, encoding_rs::UTF_16LE].contains(&encoding);
        let decoder = encoding.new_decoder_without_bom_handling();
        Self { decoder, drops_bom: has_bom && !ignore_bom }
    }

    fn decode(&mut self, bytes: &[u8], fatal: bool, last: bool) -> Text {
        // ISO-2022-JP counts characters between escapes.
        if self.decoder.encoding() != encoding_rs::ISO_2022_JP
            && self.decoder.latin1_byte_compatible_up_to(bytes) == Some(bytes.len())
        {
            self.drops_bom &= bytes.is_empty();
            return Text::Same;
        }
        self.decode_units(bytes, fatal, last)
    }

    fn decode_units(&mut self, bytes: &[u8], fatal: bool, last: bool) -> Text {
        let encoding = self.decoder.encoding();
        // Most text takes a unit a byte, none much more.
        let mut units = Vec::with_capacity(bytes.len() + 1);
        let mut at = 0;
        loop {
            let (start, rest) = (units.len(), &bytes[at..]);
            let most = self.decoder.max_utf16_buffer_length(rest.len()).unwrap_or(UNITS);
            units.resize(start + most.min(UNITS), 0);
            let (is_full, read, written) = if fatal {
                let (result, read, written) =
                    self.decoder.decode_to_utf16_without_replacement(rest, &mut units[start..], last);
                if let DecoderResult::Malformed(..) = result {
                    // The standard leaves what follows in the queue; the web platform tests have it dropped, also
                    // what the decoder has put back. Only that of ISO-2022-JP has a state that outlives an error.
                    if encoding != encoding_rs::ISO_2022_JP {
                        self.decoder = encoding.new_decoder_without_bom_handling();
                    }
                    return Text::Malformed;
                }
                (result == DecoderResult::OutputFull, read, written)
            } else {
                let (result, read, written, _) =
                    self.decoder.decode_to_utf16(rest, &mut units[start..], last);
                (result == CoderResult::OutputFull, read, written)
            };
            at += read;
            units.truncate(start + written);
            if !is_full {
                break;
            }
        }
        let bom = usize::from(self.drops_bom && units.first() == Some(&0xfeff));
        self.drops_bom &= units.is_empty();
        Text::Units(units, bom)
    }
}

/// Sets what was decoded of `bytes` as the result: a string, or `undefined` if it is fatal and ill-formed.
fn set_text(
    scope: &mut v8::PinScope<'_, '_>,
    mut rv: v8::ReturnValue<'_, v8::Value>,
    bytes: &[u8],
    text: &Text,
) {
    let string = match text {
        Text::Malformed => return,
        Text::Same if bytes.len() <= v8::String::MAX_LENGTH => {
            v8::String::new_from_one_byte(scope, bytes, v8::NewStringType::Normal)
        }
        Text::Units(units, bom) if units.len() <= v8::String::MAX_LENGTH => {
            v8::String::new_from_two_byte(scope, &units[*bom..], v8::NewStringType::Normal)
        }
        _ => None,
    };
    match string {
        Some(string) => rv.set(string.into()),
        None => throw_range_error(scope, "the text is longer than a string can be"),
    }
}

/// The same for UTF-8 as a whole. What is ill-formed V8 decodes by itself: it replaces as the standard does.
fn set_utf8(
    scope: &mut v8::PinScope<'_, '_>,
    mut rv: v8::ReturnValue<'_, v8::Value>,
    bytes: &[u8],
    fatal: bool,
    ignore_bom: bool,
) {
    let bytes = if ignore_bom { bytes } else { bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes) };
    let normal = v8::NewStringType::Normal;
    // A character for each byte at the most.
    let string = match utf8::decode(bytes) {
        _ if bytes.len() > v8::String::MAX_LENGTH => None,
        Some(Decoded::Latin1(text)) => v8::String::new_from_one_byte(scope, &text, normal),
        Some(Decoded::Utf16(text)) => v8::String::new_from_two_byte(scope, &text, normal),
        None if fatal => return,
        None => v8::String::new_from_utf8(scope, bytes, normal),
    };
    match string {
        Some(string) => rv.set(string.into()),
        None => throw_range_error(scope, "the text is longer than a string can be"),
    }
}

/// What decoding takes, in bytes a byte: two in here and two in V8.
const DECODED: usize = 4;

/// `decodeWhole(encoding, bytes, fatal, ignoreBOM)`: the text of a whole input; `undefined` if it is fatal and
/// ill-formed.
fn op_decode_whole<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    rv: v8::ReturnValue<'s, v8::Value>,
) {
    let Some(&encoding) = ENCODINGS.get(arg_u32(&args, 0) as usize) else { return };
    let (input, fatal, ignore_bom) = (args.get(1), args.get(2).is_true(), args.get(3).is_true());
    if !is_source(scope, input) {
        return;
    }
    with_bytes(input, |bytes| {
        let is_utf8 = encoding == encoding_rs::UTF_8;
        let is_ascii = is_utf8 && bytes.is_ascii();
        if !room(scope, bytes.len() * if is_ascii { 1 } else { DECODED }) {
            return;
        }
        if is_utf8 && !is_ascii {
            set_utf8(scope, rv, bytes, fatal, ignore_bom);
            return;
        }
        let text =
            if is_ascii { Text::Same } else { Stream::new(encoding, ignore_bom).decode(bytes, fatal, true) };
        set_text(scope, rv, bytes, &text);
    });
}

/// `decoderOpen(holder, encoding, ignoreBOM)`: a number for `decoderWrite`, from 1. The decoder lives until its
/// stream's end or that of `holder`.
fn op_decoder_open<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    let Ok(holder) = v8::Local::<v8::Object>::try_from(args.get(0)) else { return };
    let Some(&encoding) = ENCODINGS.get(arg_u32(&args, 1) as usize) else { return };
    let stream = Stream::new(encoding, args.get(2).is_true());
    rv.set_uint32(Held::open(scope, holder, stream, STREAM));
}

/// `decoderWrite(id, bytes, fatal, last)`: the text so far; `undefined` if it is fatal and ill-formed. `last` ends the
/// decoder.
fn op_decoder_write<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    rv: v8::ReturnValue<'s, v8::Value>,
) {
    let (id, input) = (arg_u32(&args, 0), args.get(1));
    let (fatal, last) = (args.get(2).is_true(), args.get(3).is_true());
    if !is_source(scope, input) || !room(scope, byte_length(input) * DECODED) {
        return;
    }
    with_bytes(input, |bytes| {
        let text = Held::with(scope, id, |stream: &mut Stream| {
            let text = stream.decode(bytes, fatal, last);
            (text, STREAM)
        });
        if last {
            Held::<Stream>::close(scope, id);
        }
        if let Some(text) = text {
            set_text(scope, rv, bytes, &text);
        }
    });
}

/// `decoderClose(id)`: its stream has ended.
fn op_decoder_close<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    _rv: v8::ReturnValue<'s, v8::Value>,
) {
    Held::<Stream>::close(scope, arg_u32(&args, 0));
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
#[path = "encoding_tests.rs"]
mod tests;
