//! The data: URL processor. <https://fetch.spec.whatwg.org/#data-url-processor>

use super::base64;

/// What a `data:` URL without its fragment has: the text of its MIME type, unparsed, and its bytes. `None` if it is none.
pub(super) fn process(url: &str) -> Option<(String, Vec<u8>)> {
    let rest = url.strip_prefix("data:")?;
    let (kind, data) = rest.split_once(',')?;
    let kind = kind.trim_matches([' ', '\t', '\n', '\x0c', '\r']);
    let bytes = percent_decode(data.as_bytes());
    let (kind, bytes) = match without_base64(kind) {
        Some(kind) => (kind, base64::decode_forgiving(&bytes)?),
        None => (kind, bytes),
    };
    let kind = if kind.starts_with(';') { format!("text/plain{kind}") } else { kind.to_owned() };
    Some((kind, bytes))
}

/// The MIME type before `;base64`, if it ends with that.
fn without_base64(kind: &str) -> Option<&str> {
    let at = kind.len().checked_sub("base64".len())?;
    let (before, word) = (kind.get(..at)?, kind.get(at..)?);
    let before = before.trim_end_matches(' ').strip_suffix(';')?;
    word.eq_ignore_ascii_case("base64").then_some(before)
}

/// "Percent-decode" of the URL Standard.
fn percent_decode(bytes: &[u8]) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match (byte, digit(bytes.get(at + 1)), digit(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            _ => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn processed(url: &str) -> Option<(String, String)> {
        process(url).map(|(kind, bytes)| (kind, String::from_utf8(bytes).unwrap()))
    }

    #[test]
    fn a_data_url_has_a_type_and_bytes() {
        let some = |kind: &str, text: &str| Some((kind.to_owned(), text.to_owned()));
        assert_eq!(processed("data:,a%20b%2"), some("", "a b%2"));
        assert_eq!(processed("data: text/html ;x=y,<p>"), some("text/html ;x=y", "<p>"));
        assert_eq!(processed("data:;charset=utf-8,x"), some("text/plain;charset=utf-8", "x"));
        assert_eq!(processed("data:text/plain;base64,aGVsbG8"), some("text/plain", "hello"));
        assert_eq!(processed("data:text/plain;  BASE64,aGVs%20bG8="), some("text/plain", "hello"));
        assert_eq!(processed("data:base64,aGVs"), some("base64", "aGVs"));
    }

    #[test]
    fn without_a_comma_or_with_bad_base64_it_is_none() {
        for url in ["data:", "data:text/plain", "data:;base64,a", "data:;base64,a*=="] {
            assert_eq!(processed(url), None, "{url}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_processed_or_refused(rest in "\\PC{0,40}") {
            if let Some((_, bytes)) = process(&format!("data:{rest}")) {
                prop_assert!(bytes.len() <= rest.len());
            }
        }

        #[test]
        fn what_is_percent_encoded_comes_back(bytes: Vec<u8>) {
            let text: String = bytes.iter().map(|byte| format!("%{byte:02x}")).collect();
            prop_assert_eq!(percent_decode(text.as_bytes()), bytes);
        }
    }
}
