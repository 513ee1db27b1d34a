//! A stream's head as a request. hyper has already checked what RFC 9113 section 8 asks of it.

use http::request::Parts;
use http::{Method, header};
use nexus_guest::{HeaderList, RequestId};

use super::super::fields::MAX_FIELDS;
use super::super::identity::brought_id;
use super::super::{Refusal, RequestLine, ServerConfig, fields, target};

/// What the head says.
pub(super) struct Head {
    pub method: nexus_guest::Method,
    /// Absolute, with scheme `http`.
    pub url: String,
    pub headers: HeaderList,
    /// The id that the request brings.
    pub id: Option<RequestId>,
}

/// Reads a head.
///
/// # Errors
/// The refusal that the client gets.
pub(super) fn read(parts: &Parts, config: &ServerConfig) -> Result<Head, Refusal> {
    if parts.method == Method::CONNECT {
        return Err(Refusal::NotImplemented("the method CONNECT"));
    }
    if parts.headers.len() > MAX_FIELDS {
        return Err(Refusal::TooManyFields(MAX_FIELDS));
    }
    let path = path(parts);
    let (longest, largest) = (config.longest_url(), config.largest_head());
    if path.len() > longest {
        return Err(Refusal::UrlTooLong(longest));
    }
    if length(parts) > largest {
        return Err(Refusal::HeadTooLarge(largest));
    }
    let path = match path {
        "*" if parts.method != Method::OPTIONS => {
            return Err(Refusal::Malformed("the request target `*` is for OPTIONS only"));
        }
        "*" => "",
        path => path,
    };
    let host = host(parts)?;
    if let Some(length) = parts.headers.get(header::CONTENT_LENGTH) {
        let length = fields::content_length(length.as_bytes())
            .ok_or(Refusal::Malformed("the content-length is not a number"))?;
        if length > config.largest_body() {
            return Err(Refusal::BodyTooLarge(config.largest_body()));
        }
    }
    if let Some(expect) = parts.headers.get(header::EXPECT)
        && !expect.as_bytes().eq_ignore_ascii_case(b"100-continue")
    {
        return Err(Refusal::Expectation);
    }
    Ok(Head {
        method: nexus_guest::method(parts.method.as_str()),
        url: target::absolute_url("http", host, path),
        headers: headers(parts, host),
        id: id(parts),
    })
}

/// The id that the request brings.
pub(super) fn id(parts: &Parts) -> Option<RequestId> {
    let value = |name: &str| parts.headers.get(name).map(|value| value.as_bytes());
    brought_id(value("traceparent"), value("x-request-id"))
}

/// What a request that is refused asked for.
pub(super) fn line(parts: &Parts) -> RequestLine {
    RequestLine::guess(format!("{} {}", parts.method, path(parts)).as_bytes())
}

fn path(parts: &Parts) -> &str {
    parts.uri.path_and_query().map_or("", |path| path.as_str())
}

/// The head's length in bytes, as it would have come by HTTP/1.
fn length(parts: &Parts) -> usize {
    let fields = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
    let host = parts.uri.authority().map_or(0, |host| "host: \r\n".len() + host.as_str().len());
    let line = parts.method.as_str().len() + path(parts).len() + "  HTTP/1.1\r\n".len();
    line + host + fields.sum::<usize>() + "\r\n".len()
}

/// The host of `:authority`, or else of the `host` field. They must not differ.
fn host(parts: &Parts) -> Result<&str, Refusal> {
    let authority = parts.uri.authority().map(|authority| authority.as_str().as_bytes());
    let mut hosts = parts.headers.get_all(header::HOST).iter().map(|host| host.as_bytes());
    let field = hosts.next();
    if hosts.next().is_some() {
        return Err(Refusal::Malformed("there are several host fields"));
    }
    let host = match (authority, field) {
        (Some(authority), Some(field)) if !authority.eq_ignore_ascii_case(field) => {
            return Err(Refusal::Malformed("the host field differs from the authority"));
        }
        (Some(host), _) | (None, Some(host)) => host,
        (None, None) => return Err(Refusal::Malformed("the host is missing")),
    };
    target::checked_host(host).ok_or(Refusal::Malformed("the host is not valid"))
}

/// The fields, as they would have come by HTTP/1: with a host, and with one cookie field, which HTTP/2 may
/// split (RFC 9113 section 8.2.3).
pub(super) fn headers(parts: &Parts, host: &str) -> HeaderList {
    let bytes = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>();
    let mut list = HeaderList::with_capacity(parts.headers.len() + 1, bytes + 4 + host.len());
    list.push(b"host", host.as_bytes());
    let mut cookies: Vec<u8> = Vec::new();
    for (name, value) in &parts.headers {
        match name.as_str() {
            "host" | "expect" => {}
            "cookie" => {
                if !cookies.is_empty() {
                    cookies.extend_from_slice(b"; ");
                }
                cookies.extend_from_slice(value.as_bytes());
            }
            name if fields::ends_at_the_connection(name.as_bytes()) => {}
            name => list.push(name.as_bytes(), value.as_bytes()),
        }
    }
    if !cookies.is_empty() {
        list.push(b"cookie", &cookies);
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(build: impl FnOnce(http::request::Builder) -> http::request::Builder) -> Result<Head, u16> {
        let (parts, ()) = build(http::Request::builder()).body(()).unwrap().into_parts();
        super::read(&parts, &ServerConfig::default()).map_err(|refusal| refusal.status())
    }

    #[test]
    fn a_head_reads_like_one_of_http_1() {
        let head = read(|request| {
            request
                .uri("http://a:1/b?c")
                .header("cookie", "x=1")
                .header("te", "trailers")
                .header("cookie", "y=2")
                .header("x-request-id", "id")
        })
        .unwrap_or_else(|status| panic!("{status}"));
        assert_eq!((&*head.method, &*head.url), ("GET", "http://a:1/b?c"));
        assert_eq!(head.headers.get_str("host"), Some("a:1"));
        assert_eq!(head.headers.get_str("cookie"), Some("x=1; y=2"));
        assert!(!head.headers.contains("te"));
        assert_eq!(head.id.map(|id| id.to_string()).as_deref(), Some("id"));
    }

    #[test]
    fn a_head_that_is_not_to_be_served_is_refused() {
        assert_eq!(read(|r| r.uri("/")).err(), Some(400));
        assert_eq!(read(|r| r.uri("http://a/").header("host", "b")).err(), Some(400));
        assert_eq!(read(|r| r.uri("http://u@a/")).err(), Some(400));
        assert_eq!(read(|r| r.uri("http://a/").header("content-length", "99999999999")).err(), Some(413));
        assert_eq!(read(|r| r.uri("http://a/").header("expect", "x")).err(), Some(417));
        assert_eq!(read(|r| r.method("CONNECT").uri("http://a/")).err(), Some(501));
        assert_eq!(read(|r| r.uri(format!("http://a/{}", "b".repeat(20_000)))).err(), Some(414));
        assert_eq!(read(|r| r.uri("http://a/").header("x", "y".repeat(64 << 10))).err(), Some(431));
    }
}
