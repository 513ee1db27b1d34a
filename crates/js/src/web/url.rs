//! Natives of `url.js` and of `url_pattern_init.js`: the URL parser, the setters, the canonical form of a single
//! component, and the escapes of `application/x-www-form-urlencoded`.

use url::form_urlencoded;

use super::url_canonical::{self, Components};
use super::url_host::percent_decode;
use super::url_parser;
use super::url_record::{Record, without_tabs};
use crate::ops::{self, arg_u32, latin1_string, throw_range_error, to_rust_string};

pub(crate) const OPS: &[ops::Op] = ops::ops![
    urlOffsets => op_url_offsets,
    urlParse => op_url_parse,
    urlSet => op_url_set,
    urlComponent => op_url_component,
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

/// Hands a URL over: `true` if its serialisation is the string that JavaScript has, else the serialisation.
fn give<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    url: &Record,
    had: &str,
    rv: &mut v8::ReturnValue<'s, v8::Value>,
) {
    // Once here and once in V8's heap.
    if !ops::room(scope, url.size() * 2) {
        return;
    }
    let (href, components) = url.serialize();
    hand_over(scope, &components);
    if href == had {
        rv.set_bool(true);
        return;
    }
    match v8::String::new_from_one_byte(scope, href.as_bytes(), v8::NewStringType::Normal) {
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
        url_parser::parse(&input, None)
    } else {
        let Some(base) = to_rust_string(scope, base) else { return };
        url_parser::parse(&base, None).and_then(|base| url_parser::parse(&input, Some(&base)))
    };
    match parsed {
        Some(url) => give(scope, &url, &input, &mut rv),
        None => rv.set_bool(false),
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
    let Some(mut url) = url_parser::parse(&href, None) else { return };
    set(&mut url, arg_u32(&args, 1), &value);
    give(scope, &url, &href, &mut rv);
}

/// The setters by their numbers in `url.js`. What they refuse they leave alone, as the standard says.
fn set(url: &mut Record, which: u32, value: &str) {
    match which {
        1 => _ = url.set_protocol(value),
        2 => url.set_username(value),
        3 => url.set_password(value),
        4 => _ = url.set_host(value, false),
        5 => _ = url.set_host(value, true),
        6 => _ = url.set_port(value),
        7 => url.set_pathname(value),
        8 => url.set_search(value),
        _ => url.set_hash(value),
    }
}

/// `urlComponent(which, value, protocol)`: the canonical form of a component that is not empty; `false` if it is
/// invalid. <https://urlpattern.spec.whatwg.org/#canon-encoding-callbacks>
fn op_url_component<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    let Some(value) = to_rust_string(scope, args.get(1)) else { return };
    let Some(protocol) = to_rust_string(scope, args.get(2)) else { return };
    match component(arg_u32(&args, 0), &value, &protocol) {
        None => rv.set_bool(false),
        Some(found) => {
            match v8::String::new_from_one_byte(scope, found.as_bytes(), v8::NewStringType::Normal) {
                Some(found) => rv.set(found.into()),
                None => throw_range_error(scope, "the component is longer than a string can be"),
            }
        }
    }
}

/// The numbers are those of the setters; 10 is an opaque path.
fn component(which: u32, value: &str, protocol: &str) -> Option<String> {
    if which == 1 {
        return Some(url_parser::parse(&format!("{value}://dummy.invalid/"), None)?.scheme);
    }
    let mut url = Record {
        scheme: "https".to_owned(),
        host: Some("dummy.invalid".to_owned()),
        path: "/".to_owned(),
        ..Record::default()
    };
    match which {
        2 => {
            url.set_username(value);
            Some(url.username)
        }
        3 => {
            url.set_password(value);
            Some(url.password)
        }
        5 => {
            url.set_host(value, true)?;
            url.host
        }
        6 => {
            url.scheme = protocol.to_owned();
            url.change_port(&without_tabs(value))?;
            Some(url.port.map_or_else(String::new, |port| port.to_string()))
        }
        7 if value.starts_with('/') => {
            url.set_pathname(value);
            Some(url.path)
        }
        // The parser is not to take the value's first dots for a segment.
        7 => {
            url.set_pathname(&format!("/-{value}"));
            Some(url.path.get(2..).unwrap_or_default().to_owned())
        }
        8 => {
            url.put_query(&without_tabs(value));
            url.query
        }
        9 => {
            url.put_fragment(&without_tabs(value));
            url.fragment
        }
        _ => {
            url.path.clear();
            Some(url_parser::opaque_path(url, &without_tabs(value)).path)
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_setter_leaves_alone_what_it_refuses() {
        let mut url = url_parser::parse("mailto:a@b", None).unwrap();
        for which in 2..8 {
            set(&mut url, which, "x");
        }
        assert_eq!(url.serialize().0, "mailto:a@b");
    }

    #[test]
    fn a_component_by_itself_is_as_in_a_url() {
        for (which, value, protocol, expected) in [
            (1, "HTTP", "", Some("http")),
            (1, "caf\u{e9}", "", None),
            (2, "a b@", "", Some("a%20b%40")),
            (5, "EXAMPLE.com/x", "", Some("example.com")),
            (5, "a:80", "", None),
            (5, "a b", "", None),
            (6, "80", "", Some("80")),
            (6, "80", "http", Some("")),
            (6, "8\t0x", "", Some("80")),
            (6, "x", "", None),
            (6, "65536", "", None),
            (7, "/a/../b", "", Some("/b")),
            (7, "./\u{e9}?", "", Some("./%C3%A9%3F")),
            (7, "../a", "", Some("../a")),
            (8, "a'b#", "", Some("a%27b%23")),
            (9, "a`b", "", Some("a%60b")),
            (10, "a b/../\u{e9}", "", Some("a b/../%C3%A9")),
        ] {
            assert_eq!(component(which, value, protocol).as_deref(), expected, "{which} {value}");
        }
    }

    proptest! {
        #[test]
        fn every_serialisation_is_ascii_and_its_offsets_are_in_order(
            text in "(http|file|blob|data|a|wss):/{0,3}\\PC{0,24}", value in "\\PC{0,12}", which in 1u32..10,
        ) {
            if let Some(mut url) = url_parser::parse(&text, None) {
                set(&mut url, which, &value);
                let (href, c) = url.serialize();
                prop_assert!(href.is_ascii(), "{}", href);
                let length = href.len() as u32;
                let ends = |start: u32| if start == 0 { length } else { start };
                let order = [
                    c.scheme_end, c.username_end, c.host_start, c.host_end, c.path_start,
                    ends(c.query_start).min(ends(c.fragment_start)), ends(c.fragment_start), length,
                ];
                prop_assert!(order.is_sorted(), "{}: {:?}", href, order);
                prop_assert_eq!(url_parser::parse(&href, None), Some(url), "{}", href);
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
