//! Base64 as `atob` and `btoa` have it (Infra Standard, section 5, "forgiving-base64").
//!
//! A table each way: these run on whole strings of any size, on the worker's loop.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const INVALID: u8 = 0xff;
const VALUES: [u8; 256] = {
    let mut values = [INVALID; 256];
    let mut i = 0;
    while i < 64 {
        values[ALPHABET[i] as usize] = i as u8;
        i += 1;
    }
    values
};

/// Encodes with padding.
pub(crate) fn encode(bytes: &[u8]) -> Vec<u8> {
    let symbol = |bits: u32| ALPHABET[(bits & 63) as usize];
    let mut out = Vec::with_capacity(bytes.len().div_ceil(3) * 4);
    let (groups, rest) = bytes.as_chunks::<3>();
    for &[a, b, c] in groups {
        let bits = u32::from_be_bytes([0, a, b, c]);
        out.extend_from_slice(&[symbol(bits >> 18), symbol(bits >> 12), symbol(bits >> 6), symbol(bits)]);
    }
    match *rest {
        [a] => {
            let bits = u32::from(a) << 16;
            out.extend_from_slice(&[symbol(bits >> 18), symbol(bits >> 12), b'=', b'=']);
        }
        [a, b] => {
            let bits = u32::from_be_bytes([0, a, b, 0]);
            out.extend_from_slice(&[symbol(bits >> 18), symbol(bits >> 12), symbol(bits >> 6), b'=']);
        }
        _ => {}
    }
    out
}

/// Decodes, skipping ASCII white space, with or without padding; `None` if it is not base64. Left-over bits are
/// dropped, as the standard says.
pub(crate) fn decode_forgiving(text: &[u8]) -> Option<Vec<u8>> {
    let is_space = |b: &u8| matches!(b, b'\t' | b'\n' | 0x0c | b'\r' | b' ');
    let without_spaces: Vec<u8>;
    let text = if text.iter().any(is_space) {
        without_spaces = text.iter().copied().filter(|b| !is_space(b)).collect();
        &without_spaces
    } else {
        text
    };
    let text = match text {
        [start @ .., b'=', b'='] if text.len().is_multiple_of(4) => start,
        [start @ .., b'='] if text.len().is_multiple_of(4) => start,
        all => all,
    };
    let value = |b: u8| VALUES[usize::from(b)];
    let mut out = Vec::with_capacity(text.len() / 4 * 3 + 2);
    let (groups, rest) = text.as_chunks::<4>();
    for &[a, b, c, d] in groups {
        let (a, b, c, d) = (value(a), value(b), value(c), value(d));
        if (a | b | c | d) & 0xc0 != 0 {
            return None;
        }
        out.extend_from_slice(&[a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d]);
    }
    match *rest {
        [] => {}
        [a, b] => {
            let (a, b) = (value(a), value(b));
            if (a | b) & 0xc0 != 0 {
                return None;
            }
            out.push(a << 2 | b >> 4);
        }
        [a, b, c] => {
            let (a, b, c) = (value(a), value(b), value(c));
            if (a | b | c) & 0xc0 != 0 {
                return None;
            }
            out.extend_from_slice(&[a << 2 | b >> 4, b << 4 | c >> 2]);
        }
        _ => return None,
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
