//! Requests that no guest gets to see, and what their clients are told.

use std::fmt;
use std::time::Duration;

use nexus_core::{Limit, format_duration};
use nexus_guest::{ClientAddress, Method, RequestId};

/// Why the server answered a request by itself. The connection is closed after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The request is no HTTP, or ambiguous where proxies must not disagree: 400.
    Malformed(&'static str),
    /// The head did not come within this time: 408.
    HeadTimeout(Duration),
    /// No byte of the body came for this time: 408.
    BodyTimeout(Duration),
    /// The body is larger than the limit in bytes: 413.
    BodyTooLarge(u64),
    /// The request target is longer than the limit in bytes: 414.
    UrlTooLong(usize),
    /// An `expect` that is not `100-continue`: 417.
    Expectation,
    /// The head is larger than the limit in bytes: 431.
    HeadTooLarge(usize),
    /// The head has more fields than the limit: 431.
    TooManyFields(usize),
    /// A method or transfer coding that this server does not implement: 501.
    NotImplemented(&'static str),
    /// An HTTP version that this server does not speak: 505.
    Version,
}

impl Refusal {
    /// The status that the client gets.
    pub(crate) fn status(&self) -> u16 {
        match self {
            Refusal::Malformed(_) => 400,
            Refusal::HeadTimeout(_) | Refusal::BodyTimeout(_) => 408,
            Refusal::BodyTooLarge(_) => 413,
            Refusal::UrlTooLong(_) => 414,
            Refusal::Expectation => 417,
            Refusal::HeadTooLarge(_) | Refusal::TooManyFields(_) => 431,
            Refusal::NotImplemented(_) => 501,
            Refusal::Version => 505,
        }
    }

    /// The app's limit that was reached, with its value.
    fn limit(&self) -> Option<(Limit, u64)> {
        match *self {
            Refusal::BodyTimeout(time) => Some((Limit::Idle, time.as_millis() as u64)),
            Refusal::BodyTooLarge(limit) => Some((Limit::Body, limit)),
            Refusal::UrlTooLong(limit) => Some((Limit::Url, limit as u64)),
            Refusal::HeadTooLarge(limit) => Some((Limit::Headers, limit as u64)),
            _ => None,
        }
    }
}

impl fmt::Display for Refusal {
    /// The response's body, and the log's message: one line. A limit is named as [`nexus_guest::Failure`] names it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Malformed(what) => write!(f, "malformed request: {what}")?,
            Refusal::HeadTimeout(time) => {
                write!(f, "the request's head did not come within {}", format_duration(*time))?;
            }
            Refusal::BodyTimeout(_) => f.write_str("the request's body stopped coming")?,
            Refusal::BodyTooLarge(_) => f.write_str("the request's body is too large")?,
            Refusal::UrlTooLong(_) => f.write_str("the request's URL is too long")?,
            Refusal::Expectation => f.write_str("the only expectation that can be met is 100-continue")?,
            Refusal::HeadTooLarge(_) => f.write_str("the request's head is too large")?,
            Refusal::TooManyFields(limit) => write!(f, "the request has more than {limit} header fields")?,
            Refusal::NotImplemented(what) => write!(f, "not implemented: {what}")?,
            Refusal::Version => f.write_str("only HTTP/1.0, HTTP/1.1 and HTTP/2 are spoken here")?,
        }
        match self.limit() {
            Some((limit, value)) => write!(f, " (limit: {} {})", limit.key(), limit.show(value)),
            None => Ok(()),
        }
    }
}

/// A request that the server has answered by itself.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) refusal: Refusal,
    pub(crate) id: RequestId,
    pub(crate) client: ClientAddress,
    /// As far as the head could be read.
    pub(crate) line: RequestLine,
    /// From the first that was seen of the head.
    pub(crate) duration: Duration,
    /// Bytes of the response's body.
    pub(crate) bytes: u64,
    /// Whether the response went out as a whole.
    pub(crate) complete: bool,
}

/// The longest method, and the longest path, that is kept of a request that is refused, in bytes.
const MAX_METHOD: usize = 32;
const MAX_PATH: usize = 1024;

/// What a request asked for; empty where that could not be read.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct RequestLine {
    pub(crate) method: Method,
    /// The path with the query.
    pub(crate) path: String,
}

impl RequestLine {
    /// As much as can be made of the start of a head that is refused (RFC 9112 section 3).
    pub(super) fn guess(head: &[u8]) -> Self {
        let line = head.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
        let mut parts = line.split(|byte| *byte == b' ');
        let (Some(method), Some(target)) = (parts.next(), parts.next()) else { return Self::default() };
        let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        if method.is_empty() || method.len() > MAX_METHOD || !method.iter().all(is_token) {
            return Self::default();
        }
        let target = &target[..target.len().min(MAX_PATH)];
        if !target.iter().all(u8::is_ascii_graphic) {
            return Self::default();
        }
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Self { method: text(method).into(), path: text(target) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_to_a_limit_names_it_with_its_value() {
        for (refusal, text) in [
            (Refusal::BodyTooLarge(100 << 20), "the request's body is too large (limit: body 100 MB)"),
            (Refusal::UrlTooLong(100), "the request's URL is too long (limit: url 100 B)"),
            (Refusal::HeadTooLarge(64 << 10), "the request's head is too large (limit: headers 64 KB)"),
            (
                Refusal::BodyTimeout(Duration::from_millis(200)),
                "the request's body stopped coming (limit: idle 200 ms)",
            ),
            (Refusal::HeadTimeout(Duration::from_secs(10)), "the request's head did not come within 10 s"),
        ] {
            assert_eq!(refusal.to_string(), text);
        }
    }

    #[test]
    fn of_a_refused_head_the_request_line_is_kept_if_it_can_be_read() {
        let guess = |head: &[u8]| {
            let line = RequestLine::guess(head);
            (line.method.to_string(), line.path)
        };
        let some = |method: &str, path: &str| (method.to_owned(), path.to_owned());
        assert_eq!(guess(b"GET /a?b HTTP/1.1\r\nBad Name: x\r\n"), some("GET", "/a?b"));
        assert_eq!(guess(b"GET /a\nb"), some("GET", "/a"));
        for nothing in
            [&b""[..], b"nonsense\r\n", b"\x16\x03\x01 \x02", b" /a HTTP/1.1", b"GET /\x1b[31m HTTP/1.1"]
        {
            assert_eq!(guess(nothing), some("", ""), "{nothing:?}");
        }
        let long = [b"GET /".to_vec(), vec![b'x'; 20_000]].concat();
        assert_eq!(guess(&long).1.len(), MAX_PATH);
    }
}
