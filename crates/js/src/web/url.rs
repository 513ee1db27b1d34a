//! Natives of `url.js`: the URL parser, the setters, and the escapes of `application/x-www-form-urlencoded`.

use url::{Url, form_urlencoded, quirks};

use super::url_canonical::{self, Components};
use crate::ops::{self, arg_u32, latin1_string, throw_range_error, to_rust_string};

pub(crate) const OPS: &[ops::Op] = ops::ops![
    urlOffsets => op_url_offsets,
    urlParse => op_url_parse,
    urlSet => op_url_set,
    formDecode => op_form_decode,
    formEncode => op_form_encode,
];

const OFFSETS: usize = 7;

/// The array in which components are handed over. V8's memory, for the sandbox lets it see no other.
struct Shared(v8::SharedRef<v8::BackingStore>);

/// `urlOffsets()`: the array itself, asked for once, before anything else here.
fn op_url_offsets<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    _args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    let buffer = v8::ArrayBuffer::new(scope, OFFSETS * size_of::<u32>());
    scope.set_slot(Shared(buffer.get_backing_store()));
    if let Some(array) = v8::Uint32Array::new(scope, buffer, 0, OFFSETS) {
        rv.set(array.into());
    }
}

fn hand_over(isolate: &v8::Isolate, components: &Components) {
    let Some(Shared(store)) = isolate.get_slot::<Shared>() else { return };
    let Some(data) = store.data() else { return };
    let values: [u32; OFFSETS] = [
        components.scheme_end,
        components.username_end,
        components.host_start,
        components.host_end,
        components.path_start,
        components.query_start,
        components.fragment_start,
    ];
    // SAFETY: `op_url_offsets` made the store with exactly this size, V8 aligns it to more than four bytes, it is
    // alive as long as `store`, and only this thread, which is not running JavaScript now, reads it.
    unsafe { data.as_ptr().cast::<[u32; OFFSETS]>().write(values) };
}

pub(crate) fn components_of(url: &Url) -> Components {
    let found = quirks::internal_components(url);
    Components {
        scheme_end: found.scheme_end,
        username_end: found.username_end,
        host_start: found.host_start,
        host_end: found.host_end,
        path_start: found.path_start,
        query_start: found.query_start.unwrap_or(0),
        fragment_start: found.fragment_start.unwrap_or(0),
    }
}

/// Hands a URL over: `true` if its serialisation is the string that JavaScript has, else the serialisation.
fn give<'s>(scope: &mut v8::PinScope<'s, '_>, url: &Url, had: &str, rv: &mut v8::ReturnValue<'s, v8::Value>) {
    hand_over(scope, &components_of(url));
    if url.as_str() == had {
        rv.set_bool(true);
        return;
    }
    match v8::String::new_from_one_byte(scope, url.as_str().as_bytes(), v8::NewStringType::Normal) {
        Some(href) => rv.set(href.into()),
        None => throw_range_error(scope, "the URL is longer than a string can be"),
    }
}

/// `urlParse(url, base)`: `false` if it is invalid; the rest as in [`give`].
fn op_url_parse<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    let Ok(input) = v8::Local::<v8::String>::try_from(args.get(0)) else { return };
    let base = args.get(1);
    if base.is_undefined() {
        let found = match v8::ValueView::new(scope, input).data() {
            v8::ValueViewData::OneByte(bytes) => url_canonical::components(bytes),
            v8::ValueViewData::TwoByte(_) => None,
        };
        if let Some(components) = found {
            hand_over(scope, &components);
            rv.set_bool(true);
            return;
        }
    }
    let Some(input) = to_rust_string(scope, args.get(0)) else { return };
    let parsed = if base.is_undefined() {
        Url::parse(&input)
    } else {
        let Some(base) = to_rust_string(scope, base) else { return };
        Url::parse(&base).and_then(|base| base.join(&input))
    };
    match parsed {
        Ok(url) => give(scope, &url, &input, &mut rv),
        Err(_) => rv.set_bool(false),
    }
}

/// `urlSet(href, which, value)`: a URL's setter; `true` if nothing changes, else the new serialisation.
fn op_url_set<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    let Some(href) = to_rust_string(scope, args.get(0)) else { return };
    let Some(value) = to_rust_string(scope, args.get(2)) else { return };
    rv.set_bool(true);
    let Ok(mut url) = Url::parse(&href) else { return };
    set(&mut url, arg_u32(&args, 1), &value);
    if url.as_str() != href {
        give(scope, &url, &href, &mut rv);
    }
}

/// The setters by their numbers in `url.js`. What they refuse they leave alone, as the standard says.
fn set(url: &mut Url, which: u32, value: &str) {
    let _ = match which {
        1 => quirks::set_protocol(url, value),
        2 => quirks::set_username(url, value),
        3 => quirks::set_password(url, value),
        4 => quirks::set_host(url, value),
        5 => quirks::set_hostname(url, value),
        6 => quirks::set_port(url, value),
        7 => {
            quirks::set_pathname(url, value);
            Ok(())
        }
        8 => {
            quirks::set_search(url, value);
            Ok(())
        }
        _ => {
            quirks::set_hash(url, value);
            Ok(())
        }
    };
}

/// `formDecode(text)`: percent-decoded; what is no UTF-8 then is replaced.
fn op_form_decode<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    let Some(text) = to_rust_string(scope, args.get(0)) else { return };
    let decoded = percent_decode(text.as_bytes());
    if let Some(string) = v8::String::new(scope, &String::from_utf8_lossy(&decoded)) {
        rv.set(string.into());
    }
}

/// `formEncode(text)`: escaped as `application/x-www-form-urlencoded`.
fn op_form_encode<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    let Some(text) = to_rust_string(scope, args.get(0)) else { return };
    let encoded: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
    rv.set(latin1_string(scope, encoded.as_bytes()).into());
}

fn percent_decode(text: &[u8]) -> Vec<u8> {
    let digit = |at: usize| text.get(at).and_then(|&b| char::from(b).to_digit(16));
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        if byte == b'%'
            && let (Some(high), Some(low)) = (digit(at + 1), digit(at + 2))
        {
            out.push((high * 16 + low) as u8);
            at += 3;
        } else {
            out.push(byte);
            at += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_stray_percent_sign_stays() {
        assert_eq!(percent_decode(b"%41%4%zz%"), b"A%4%zz%");
    }

    #[test]
    fn a_setter_leaves_alone_what_it_refuses() {
        let mut url = Url::parse("mailto:a@b").unwrap();
        for which in 2..8 {
            set(&mut url, which, "x");
        }
        assert_eq!(url.as_str(), "mailto:a@b");
    }

    proptest! {
        #[test]
        fn every_serialisation_is_ascii_and_its_offsets_are_in_order(
            text in "(http|file|blob|data|a|wss):/{0,3}\\PC{0,24}", value in "\\PC{0,12}", which in 1u32..10,
        ) {
            if let Ok(mut url) = Url::parse(&text) {
                set(&mut url, which, &value);
                prop_assert!(url.as_str().is_ascii(), "{}", url.as_str());
                let c = components_of(&url);
                let length = url.as_str().len() as u32;
                let ends = |start: u32| if start == 0 { length } else { start };
                let order = [
                    c.scheme_end, c.username_end, c.host_start, c.host_end, c.path_start,
                    ends(c.query_start).min(ends(c.fragment_start)), ends(c.fragment_start), length,
                ];
                prop_assert!(order.is_sorted(), "{}: {:?}", url.as_str(), order);
            }
        }

        #[test]
        fn form_escapes_come_back(text in "\\PC{0,24}") {
            let encoded: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
            let decoded = percent_decode(encoded.replace('+', " ").as_bytes());
            prop_assert_eq!(decoded, text.as_bytes());
        }
    }
}
