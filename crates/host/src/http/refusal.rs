//! Requests that no guest gets to see, and what their clients are told.

use std::fmt;

/// Why the server answered a request by itself. The connection is closed after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The request is no HTTP, or ambiguous where proxies must not disagree: 400.
    Malformed(&'static str),
    /// The head did not come in time: 408.
    HeadTimeout,
    /// The body did not come in time: 408.
    BodyTimeout,
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
            Refusal::HeadTimeout | Refusal::BodyTimeout => 408,
            Refusal::BodyTooLarge(_) => 413,
            Refusal::UrlTooLong(_) => 414,
            Refusal::Expectation => 417,
            Refusal::HeadTooLarge(_) | Refusal::TooManyFields(_) => 431,
            Refusal::NotImplemented(_) => 501,
            Refusal::Version => 505,
        }
    }
}

impl fmt::Display for Refusal {
    /// The response's body, and the log's message: one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Malformed(what) => write!(f, "malformed request: {what}"),
            Refusal::HeadTimeout => f.write_str("the request's head did not come in time"),
            Refusal::BodyTimeout => f.write_str("the request's body did not come in time"),
            Refusal::BodyTooLarge(limit) => {
                write!(f, "the request's body is larger than the limit of {limit} bytes")
            }
            Refusal::UrlTooLong(limit) => {
                write!(f, "the request's URL is longer than the limit of {limit} bytes")
            }
            Refusal::Expectation => f.write_str("the only expectation that can be met is 100-continue"),
            Refusal::HeadTooLarge(limit) => {
                write!(f, "the request's head is larger than the limit of {limit} bytes")
            }
            Refusal::TooManyFields(limit) => {
                write!(f, "the request has more header fields than the limit of {limit}")
            }
            Refusal::NotImplemented(what) => write!(f, "not implemented: {what}"),
            Refusal::Version => f.write_str("only HTTP/1.0, HTTP/1.1 and HTTP/2 are spoken here"),
        }
    }
}
