//! Percent-decoding of paths (RFC 3986 section 2.1), strictly.

/// The text with each `%41` decoded, once. `None` if a `%` is not followed by two hexadecimal digits or if
/// the result is not UTF-8.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let high = char::from(rest.next()?).to_digit(16)?;
        let low = char::from(rest.next()?).to_digit(16)?;
        bytes.push((high * 16 + low) as u8);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_percent_encoding_of_text_is_refused() {
        assert_eq!(decode("a%20b%2541").as_deref(), Some("a b%41"));
        for bad in ["%", "%4", "%4g", "%+1", "%ff", "a%c3"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn encoded_text_decodes_to_itself(text: String) {
            let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
            prop_assert_eq!(decode(&encoded), Some(text));
        }
    }
}
