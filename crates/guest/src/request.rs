//! A request as a guest gets it.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::{Body, HeaderList};

/// A request's method, a token of RFC 9110; case matters. See [`method`].
pub type Method = Cow<'static, str>;

/// The methods that most requests have. Engines may count on the order.
pub const USUAL_METHODS: [&str; 7] = ["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"];

/// A method. Those of [`USUAL_METHODS`] allocate nothing.
pub fn method(token: &str) -> Method {
    match USUAL_METHODS.iter().find(|usual| **usual == token) {
        Some(usual) => Cow::Borrowed(usual),
        None => Cow::Owned(token.to_owned()),
    }
}

/// An HTTP request whose head was read and checked by the host.
#[derive(Debug)]
pub struct Request {
    /// Names the request in logs and towards the client.
    pub id: RequestId,
    /// The method as it came.
    pub method: Method,
    /// The absolute URL: `http://host:port/path?query`.
    pub url: String,
    /// The header fields without those that end at the connection (RFC 9110 section 7.6.1).
    pub headers: HeaderList,
    /// The body; [`Body::Empty`] where the request has none.
    pub body: Body,
    /// Who asks.
    pub client: ClientAddress,
    /// What it is for the app.
    pub event: Event,
}

/// What a request is for an app.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Event {
    /// A request over HTTP, or of another app's.
    #[default]
    Fetch,
    /// The time of one of its triggers has come. Whoever handles it answers with 204 once the work is done; the method, the
    /// URL and the rest of the request are for nobody.
    Scheduled(Arc<Scheduled>),
}

/// The time of a trigger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scheduled {
    /// The trigger, as the manifest has it.
    pub cron: Box<str>,
    /// The time that it was due at, in milliseconds since 1970.
    pub time: u64,
}

/// The client's address: the peer of the connection, or, behind a trusted proxy, who the proxy says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientAddress {
    /// An IP address; the port where it is known (a proxy tells none).
    Ip(IpAddr, Option<u16>),
    /// The peer of a Unix socket, which has no address.
    #[default]
    Unix,
    /// Another app of the same host, or the host itself.
    Inside,
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientAddress::Ip(ip, _) => ip.fmt(f),
            ClientAddress::Unix => f.write_str("unix"),
            ClientAddress::Inside => f.write_str("inside"),
        }
    }
}

/// A request's id: 1 to 64 characters of `A-Z a-z 0-9 . _ -`.
///
/// It is held in place, for there is one for each request and each of its log lines.
///
/// With it goes how many apps have asked one another up to its request. The host sets that, and no text says it: who
/// sends a request in the name of another one cannot make it less.
#[derive(Clone, Copy)]
pub struct RequestId {
    bytes: [u8; RequestId::MAX],
    length: u8,
    depth: u8,
}

impl PartialEq for RequestId {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for RequestId {}

impl RequestId {
    /// The longest id, in bytes.
    pub const MAX: usize = 64;

    /// An id that somebody else chose; `None` if it is not one.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let fine = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if text.is_empty() || text.len() > Self::MAX || !text.iter().all(fine) {
            return None;
        }
        let mut bytes = [0; Self::MAX];
        bytes[..text.len()].copy_from_slice(text);
        Some(Self { bytes, length: text.len() as u8, depth: 0 })
    }

    /// The same id, of a request before which so many apps have asked one another.
    #[must_use]
    pub fn at_depth(self, depth: u8) -> Self {
        Self { depth, ..self }
    }

    /// How many apps have asked one another before its request: 0 for what comes from outside.
    pub fn depth(&self) -> u8 {
        self.depth
    }

    /// The id of 32 hexadecimal digits that stands for `number`, like a trace id of W3C Trace Context.
    pub fn from_u128(number: u128) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut bytes = [0; Self::MAX];
        for (pair, byte) in bytes.chunks_exact_mut(2).zip(number.to_be_bytes()) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        Self { bytes, length: 32, depth: 0 }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The id as bytes, with NUL up to the greatest length.
    pub fn padded(&self) -> &[u8; Self::MAX] {
        &self.bytes
    }

    /// The id as bytes, all ASCII.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestId({})", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_from_outside_is_taken_only_if_it_is_short_and_plain() {
        assert_eq!(RequestId::parse(b"abc-1_2.Z").unwrap().as_str(), "abc-1_2.Z");
        for bad in [&b""[..], b"a b", b"a\nb", &[b'a'; 65], "ü".as_bytes()] {
            assert!(RequestId::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn a_method_is_what_came() {
        for token in ["GET", "PATCH", "get", "PURGE"] {
            assert_eq!(method(token), token);
        }
        assert!(matches!((method("GET"), method("get")), (Cow::Borrowed(_), Cow::Owned(_))));
    }

    #[test]
    fn an_id_is_padded_with_nul() {
        let id = RequestId::parse(b"abc").unwrap();
        assert_eq!((&id.padded()[..3], &id.padded()[3..]), (&b"abc"[..], &[0; 61][..]));
    }

    #[test]
    fn how_deep_a_request_is_goes_with_its_id_and_is_no_part_of_it() {
        let id = RequestId::parse(b"abc").unwrap();
        assert_eq!((id.depth(), id.at_depth(3).depth()), (0, 3));
        assert_eq!(id.at_depth(3), id);
        assert_eq!(RequestId::parse(id.at_depth(3).as_bytes()).unwrap().depth(), 0);
    }

    #[test]
    fn a_number_becomes_32_hexadecimal_digits() {
        assert_eq!(RequestId::from_u128(0xab).as_str(), format!("{:032x}", 0xab));
        assert_eq!(RequestId::from_u128(u128::MAX - 1).as_str(), format!("{:032x}", u128::MAX - 1));
    }
}
