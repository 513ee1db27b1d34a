//! Header fields that belong to a connection and not to the message (RFC 9110 section 7.6.1), and
//! what else both protocol versions ask of fields.

use nexus_guest::{Body, Failure, FailureKind, HeaderList, Reply};

/// The media type of every response that the host writes itself.
pub(super) const PLAIN_TEXT: &[u8] = b"text/plain;charset=utf-8";

/// After how many seconds a client may try again where too many others are being served (RFC 9110 section 10.2.3).
const RETRY_AFTER: &[u8] = b"1";

/// The most header fields of a request: 431 beyond it.
pub(super) const MAX_FIELDS: usize = 256;

/// Whether the field called `name` (in lower case) ends at the connection. `trailer` is among them, since
/// trailers are not passed on.
pub(crate) fn ends_at_the_connection(name: &[u8]) -> bool {
    match name.len() {
        2 => name == b"te",
        7 => matches!(name, b"upgrade" | b"trailer"),
        10 => matches!(name, b"connection" | b"keep-alive"),
        16 => name == b"proxy-connection",
        17 => name == b"transfer-encoding",
        _ => false,
    }
}

/// Whether a value may stand in a field. The engines check what guests set; this is the last line against a
/// response that a value splits in two.
pub(crate) fn is_safe_value(value: &[u8]) -> bool {
    !value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | b'\0'))
}

/// Whether a response with this status never has a body (RFC 9110 section 6.4.1; 205 has none either).
pub(crate) fn is_bodiless(status: u16) -> bool {
    matches!(status, 100..=199 | 204 | 205 | 304)
}

/// A `content-length` (RFC 9110 section 8.6): digits only.
pub(crate) fn content_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0u64, |length, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        length.checked_mul(10)?.checked_add(digit)
    })
}

/// The `content-length` of a response, if it has one; `guests` is what the guest says.
pub(crate) fn response_length(status: u16, is_head: bool, body: &Body, guests: Option<u64>) -> Option<u64> {
    match status {
        100..=199 | 204 => None,
        205 => Some(0),
        // The length of what it stands for.
        304 => guests,
        // A guest that answers HEAD by hand has no body to count, but may know the length.
        _ if is_head && matches!(body, Body::Empty) => guests,
        _ => body.exact_length().or(guests),
    }
}

/// The response that a client gets where the guest failed.
pub(crate) fn failure_reply(failure: &Failure) -> Reply {
    let mut headers = HeaderList::with_capacity(2, 64);
    headers.push(b"content-type", PLAIN_TEXT);
    if matches!(failure.kind, FailureKind::Overloaded | FailureKind::NoMemory) {
        headers.push(b"retry-after", RETRY_AFTER);
    }
    let body = Body::Full(format!("{}\n", failure).into());
    Reply { status: failure.kind.status(), headers, body }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_length_is_digits_and_fits() {
        assert_eq!(content_length(b"0"), Some(0));
        assert_eq!(content_length(b"00042"), Some(42));
        assert_eq!(content_length(b"18446744073709551615"), Some(u64::MAX));
        for bad in [&b""[..], b"+1", b"-1", b" 1", b"1 ", b"1,1", b"0x1", b"18446744073709551616", b"1e3"] {
            assert_eq!(content_length(bad), None, "{bad:?}");
        }
    }
}
