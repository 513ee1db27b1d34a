//! Base64 as `atob` and `btoa` have it (Infra Standard, section 5, "forgiving-base64").
//!
//! A table each way: these run on whole strings of any size, on the worker's loop.

use nexus_crypto::Secret;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The two symbols of 12 bits.
static SYMBOLS: [[u8; 2]; 4096] = {
    let mut symbols = [[0; 2]; 4096];
    let mut bits = 0;
    while bits < 4096 {
        symbols[bits] = [ALPHABET[bits >> 6], ALPHABET[bits & 63]];
        bits += 1;
    }
    symbols
};

/// What no symbol's bits have.
const INVALID: u32 = 1 << 31;
/// The bits of a symbol at each place of a group of four.
static VALUES: [[u32; 256]; 4] = {
    let mut values = [[INVALID; 256]; 4];
    let mut i = 0;
    while i < 256 {
        let (place, value) = (i / 64, i % 64);
        values[place][ALPHABET[value] as usize] = (value as u32) << (18 - 6 * place);
        i += 1;
    }
    values
};

/// How many groups are decoded before somebody looks whether all of them are valid.
const GROUPS: usize = 1024;

/// Encodes with padding.
pub(crate) fn encode(bytes: &[u8]) -> Vec<u8> {
    let symbols = |bits: u32| SYMBOLS[(bits & 0xfff) as usize];
    let mut out = vec![b'='; bytes.len().div_ceil(3) * 4];
    let (groups, rest) = bytes.as_chunks::<3>();
    let (places, _) = out.as_chunks_mut::<4>();
    for (&[a, b, c], place) in groups.iter().zip(&mut *places) {
        let bits = u32::from_be_bytes([0, a, b, c]);
        let ([p, q], [r, s]) = (symbols(bits >> 12), symbols(bits));
        *place = [p, q, r, s];
    }
    if let (Some(place), &[a, ref rest @ ..]) = (places.last_mut(), rest) {
        let bits = u32::from_be_bytes([0, a, rest.first().copied().unwrap_or(0), 0]);
        let ([p, q], [r, _]) = (symbols(bits >> 12), symbols(bits));
        *place = [p, q, if rest.is_empty() { b'=' } else { r }, b'='];
    }
    out
}

/// Encodes as base64url, without padding. RFC 4648, section 5.
pub(crate) fn encode_url(bytes: &[u8]) -> Vec<u8> {
    let mut out = encode(bytes);
    while out.last() == Some(&b'=') {
        out.pop();
    }
    for symbol in &mut out {
        match symbol {
            b'+' => *symbol = b'-',
            b'/' => *symbol = b'_',
            _ => {}
        }
    }
    out
}

/// Decodes base64url without padding; `None` if it is not that. Left-over bits are to be zero.
pub(crate) fn decode_url(text: &[u8]) -> Option<Secret> {
    let mut plain = Secret::new(Vec::with_capacity(text.len()));
    for &symbol in text {
        plain.push(match symbol {
            b'-' => b'+',
            b'_' => b'/',
            other if other.is_ascii_alphanumeric() => other,
            _ => return None,
        });
    }
    if plain.len() % 4 == 1 {
        return None;
    }
    let bytes = Secret::new(decode(&plain)?);
    (*Secret::new(encode_url(&bytes)) == text).then_some(bytes)
}

/// Decodes, skipping ASCII white space, with or without padding; `None` if it is not base64. Left-over bits are
/// dropped, as the standard says.
pub(crate) fn decode_forgiving(text: &[u8]) -> Option<Vec<u8>> {
    let is_space = |b: &u8| matches!(b, b'\t' | b'\n' | 0x0c | b'\r' | b' ');
    decode(text).or_else(|| {
        let without_spaces: Vec<u8> = text.iter().copied().filter(|b| !is_space(b)).collect();
        if without_spaces.len() < text.len() { decode(&without_spaces) } else { None }
    })
}

fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let text = match text {
        [start @ .., b'=', b'='] if text.len().is_multiple_of(4) => start,
        [start @ .., b'='] if text.len().is_multiple_of(4) => start,
        all => all,
    };
    let value = |place: usize, b: u8| VALUES[place][usize::from(b)];
    let (groups, rest) = text.as_chunks::<4>();
    let mut out = Vec::with_capacity(groups.len() * 3 + 2);
    out.resize(groups.len() * 3, 0);
    let (places, _) = out.as_chunks_mut::<3>();
    for (groups, places) in groups.chunks(GROUPS).zip(places.chunks_mut(GROUPS)) {
        let mut all = 0;
        for (&[a, b, c, d], place) in groups.iter().zip(places) {
            let bits = value(0, a) | value(1, b) | value(2, c) | value(3, d);
            all |= bits;
            let [_, x, y, z] = bits.to_be_bytes();
            *place = [x, y, z];
        }
        if all & INVALID != 0 {
            return None;
        }
    }
    let (bits, length) = match *rest {
        [] => (0, 0),
        [a, b] => (value(0, a) | value(1, b), 1),
        [a, b, c] => (value(0, a) | value(1, b) | value(2, c), 2),
        _ => return None,
    };
    if bits & INVALID != 0 {
        return None;
    }
    out.extend_from_slice(&bits.to_be_bytes()[1..=length]);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn groups_and_what_is_left_of_them_are_encoded() {
        for (bytes, text) in [("", ""), ("a", "YQ=="), ("ab", "YWI="), ("abc", "YWJj"), ("abcd", "YWJjZA==")]
        {
            assert_eq!(encode(bytes.as_bytes()), text.as_bytes());
        }
    }

    #[test]
    fn one_wrong_symbol_anywhere_is_seen() {
        let text = encode(&[0x5a; 3 * GROUPS * 2 + 5]);
        for at in [0, 1, 2, 3, 4 * GROUPS - 1, 4 * GROUPS, text.len() - 2] {
            let mut text = text.clone();
            text[at] = b'-';
            assert_eq!(decode_forgiving(&text), None, "{at}");
        }
    }

    #[test]
    fn the_standards_examples_decode() {
        for (text, bytes) in [
            ("", Some("")),
            ("YQ==", Some("a")),
            ("YQ", Some("a")),
            (" Y\tQ\n=\r=\x0c ", Some("a")),
            ("YWI=", Some("ab")),
            ("YWJj", Some("abc")),
            ("YR", Some("a")),
            ("Y", None),
            ("YQ=", None),
            ("YQ===", None),
            ("=", None),
            ("====", None),
            ("Y=Q=", None),
            ("YWJj=", None),
            ("YW-j", None),
            ("YW\0j", None),
        ] {
            assert_eq!(decode_forgiving(text.as_bytes()), bytes.map(|b| b.as_bytes().to_vec()), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_was_encoded_decodes_to_itself(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(decode_forgiving(&encode(&bytes)), Some(bytes));
        }

        #[test]
        fn any_text_is_decoded_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Some(out) = decode_forgiving(&bytes) {
                prop_assert!(out.len() <= bytes.len() / 4 * 3 + 2);
            }
        }
    }
}
