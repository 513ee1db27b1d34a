//! A request's id, where the request brings one.

use nexus_guest::RequestId;

/// The id that a request brings: the trace id of a valid `traceparent` (W3C Trace Context), else a
/// valid `x-request-id`.
pub(super) fn brought_id(traceparent: Option<&[u8]>, request_id: Option<&[u8]>) -> Option<RequestId> {
    traceparent
        .and_then(trace_id)
        .and_then(RequestId::parse)
        .or_else(|| request_id.and_then(RequestId::parse))
}

/// The trace id of a `traceparent`: `version-traceid-parentid-flags`, all in lower-case hexadecimal digits.
/// Version 00 has exactly these four parts; later ones may have more.
fn trace_id(value: &[u8]) -> Option<&[u8]> {
    let (head, more) = value.split_at_checked(55)?;
    let is_hex = |part: &[u8]| part.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let is_zero = |part: &[u8]| part.iter().all(|b| *b == b'0');
    let (version, trace, parent, flags) = (&head[..2], &head[3..35], &head[36..52], &head[53..55]);
    let dashes = head[2] == b'-' && head[35] == b'-' && head[52] == b'-';
    let digits = is_hex(version) && is_hex(trace) && is_hex(parent) && is_hex(flags);
    let version_fine = version != b"ff" && (more.is_empty() || (version != b"00" && more[0] == b'-'));
    (dashes && digits && version_fine && !is_zero(trace) && !is_zero(parent)).then_some(trace)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn id(traceparent: &str, request_id: &str) -> Option<String> {
        brought_id(Some(traceparent.as_bytes()), Some(request_id.as_bytes())).map(|id| id.as_str().to_owned())
    }

    #[test]
    fn a_valid_traceparent_comes_before_a_request_id() {
        assert_eq!(id(&format!("00-{TRACE}-00f067aa0ba902b7-01"), "abc").as_deref(), Some(TRACE));
        assert_eq!(id(&format!("cc-{TRACE}-00f067aa0ba902b7-01-more"), "abc").as_deref(), Some(TRACE));
    }

    #[test]
    fn an_invalid_traceparent_is_as_good_as_none() {
        let zero = "0".repeat(32);
        let bad = [
            String::new(),
            format!("00-{zero}-00f067aa0ba902b7-01"),
            format!("00-{TRACE}-0000000000000000-01"),
            format!("ff-{TRACE}-00f067aa0ba902b7-01"),
            format!("00-{TRACE}-00f067aa0ba902b7-01-more"),
            format!("00-{}-00f067aa0ba902b7-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-00f067aa0ba902b7"),
            format!("00_{TRACE}-00f067aa0ba902b7-01"),
        ];
        for bad in bad {
            assert_eq!(id(&bad, "abc").as_deref(), Some("abc"), "{bad}");
        }
        assert_eq!(id("", "not an id"), None);
    }
}
