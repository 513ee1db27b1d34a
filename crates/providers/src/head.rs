//! Heads of requests and responses, from the seam's form to hyper's and back.

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Uri, header};
use nexus_core::{Limit, NetHost};
use nexus_guest::{Body, HeaderList, HttpError, OutboundRequest};

use crate::upload::Upload;

/// A request's head, checked.
pub(crate) struct Head {
    method: http::Method,
    target: PathAndQuery,
    /// With `host` in front.
    headers: HeaderMap,
}

/// Fields that are the connection's, or say how the message is framed: ours to set.
const OURS: [&str; 12] = [
    "host",
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "content-length",
    "expect",
    "http2-settings",
];

/// Fields of a response that end at the connection (RFC 9110 section 7.6.1).
const OF_THE_CONNECTION: [&str; 7] =
    ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "te", "trailer"];

fn invalid(what: impl Into<String>) -> HttpError {
    HttpError::Invalid(what.into())
}

impl Head {
    /// The head of this request, for the body that it has.
    pub(crate) fn new(request: &OutboundRequest) -> Result<Self, HttpError> {
        let bare = matches!(request.body, Body::Empty);
        Self::with(request, request.body.exact_length().filter(|_| !bare), bare)
    }

    /// The same once more, for a body that is no longer with its request.
    pub(crate) fn again(request: &OutboundRequest, length: Option<u64>) -> Result<Self, HttpError> {
        Self::with(request, length.filter(|length| *length > 0), length == Some(0))
    }

    fn with(request: &OutboundRequest, length: Option<u64>, bare: bool) -> Result<Self, HttpError> {
        let method = http::Method::from_bytes(request.method.as_bytes())
            .map_err(|_| invalid(format!("`{}` is no method", request.method.escape_debug())))?;
        if method == http::Method::CONNECT || method == http::Method::TRACE {
            return Err(invalid(format!("the method {method} is not for apps")));
        }
        let target = target(&request.target, &method)?;
        let mut headers = HeaderMap::with_capacity(request.headers.len() + 2);
        headers.insert(header::HOST, host(request)?);
        for (name, value) in request.headers.iter() {
            if OURS.iter().any(|ours| ours.as_bytes() == name) {
                continue;
            }
            let shown = || String::from_utf8_lossy(name).escape_debug().to_string();
            let value = HeaderValue::from_bytes(value)
                .map_err(|_| invalid(format!("the value of `{}` has invalid characters", shown())))?;
            let name = HeaderName::from_bytes(name)
                .map_err(|_| invalid(format!("`{}` is no field's name", shown())))?;
            headers.try_append(name, value).map_err(|_| invalid("it has too many header fields"))?;
        }
        let expects = [http::Method::POST, http::Method::PUT, http::Method::PATCH].contains(&method);
        if let Some(length) = length.or((bare && expects).then_some(0)) {
            headers.insert(header::CONTENT_LENGTH, length.into());
        }
        Ok(Self { method, target, headers })
    }

    /// Whether sending it twice is like sending it once.
    pub(crate) fn is_idempotent(&self) -> bool {
        self.method.is_idempotent()
    }

    pub(crate) fn is_head(&self) -> bool {
        self.method == http::Method::HEAD
    }

    /// The request as HTTP/1.1 has it.
    pub(crate) fn http1(mut self, upload: Upload) -> Request<Upload> {
        if http_body::Body::size_hint(&upload).exact().is_none() {
            // Said here, for hyper would not for a method that usually has no body.
            self.headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        let mut request = Request::new(upload);
        *request.method_mut() = self.method;
        *request.uri_mut() = Uri::from(self.target);
        *request.headers_mut() = self.headers;
        request
    }

    /// The request as HTTP/2 has it: the host is in its target.
    pub(crate) fn http2(self, trailers: bool, upload: Upload) -> Result<Request<Upload>, HttpError> {
        let mut request = Request::new(upload);
        let mut headers = HeaderMap::with_capacity(self.headers.len());
        let mut authority = None;
        let mut last = None;
        for (name, value) in self.headers {
            // A further value of the same name has none.
            if name.is_some() {
                last = name;
            }
            match &last {
                Some(name) if name == header::HOST => authority = Authority::try_from(value.as_bytes()).ok(),
                Some(name) => {
                    let _ = headers.try_append(name.clone(), value);
                }
                None => {}
            }
        }
        if trailers {
            headers.insert(header::TE, HeaderValue::from_static("trailers"));
        }
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(Scheme::HTTPS);
        parts.authority = authority;
        parts.path_and_query = Some(self.target);
        *request.uri_mut() = Uri::from_parts(parts).map_err(|error| invalid(error.to_string()))?;
        *request.method_mut() = self.method;
        *request.headers_mut() = headers;
        *request.version_mut() = http::Version::HTTP_2;
        Ok(request)
    }
}

/// Whether the request says that trailers would be welcome, which HTTP/2 lets pass.
pub(crate) fn wants_trailers(request: &OutboundRequest) -> bool {
    request.headers.get("te") == Some(b"trailers")
}

/// The value of `host`.
fn host(request: &OutboundRequest) -> Result<HeaderValue, HttpError> {
    let usual = if request.secure { 443 } else { 80 };
    let text = match &request.host {
        NetHost::Name(name) if request.port == usual => HeaderValue::from_str(name),
        host if request.port == usual => HeaderValue::from_str(&host.to_string()),
        host => HeaderValue::from_str(&format!("{host}:{}", request.port)),
    };
    text.map_err(|_| invalid("its host's name has invalid characters"))
}

/// A target as it is sent. What `http` does not take although browsers send it is percent-encoded.
fn target(text: &str, method: &http::Method) -> Result<PathAndQuery, HttpError> {
    if text == "*" {
        return match *method {
            http::Method::OPTIONS => Ok(PathAndQuery::from_static("*")),
            _ => Err(invalid("the target `*` is for OPTIONS alone")),
        };
    }
    if !text.starts_with('/') {
        return Err(invalid("its target does not begin with `/`"));
    }
    if text.contains('#') {
        return Err(invalid("its target has a fragment"));
    }
    if text.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
        return Err(invalid("its target has a space or a control character"));
    }
    if text.is_ascii()
        && let Ok(target) = PathAndQuery::try_from(text)
    {
        return Ok(target);
    }
    let mut encoded = Vec::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        if byte.is_ascii() && !b"\"<>\\^`{|}".contains(&byte) {
            encoded.push(byte);
        } else {
            encoded.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    PathAndQuery::from_maybe_shared(Bytes::from(encoded))
        .map_err(|_| invalid("its target has invalid characters, or is too long"))
}

/// The status, the reason and the fields of a response, whose head has a limit.
pub(crate) fn response<B>(
    response: &Response<B>,
    limit: u64,
) -> Result<(u16, Vec<u8>, HeaderList), HttpError> {
    let status = response.status().as_u16();
    if status == 101 {
        return Err(HttpError::Protocol("it switches protocols, which was not asked for".to_owned()));
    }
    if !(200..600).contains(&status) {
        return Err(HttpError::Protocol(format!("its status is {status}")));
    }
    let reason = match response.extensions().get::<hyper::ext::ReasonPhrase>() {
        Some(reason) => reason.as_bytes().to_vec(),
        // hyper tells those only that are not the usual ones.
        None if response.version() < http::Version::HTTP_2 => {
            response.status().canonical_reason().unwrap_or_default().into()
        }
        None => Vec::new(),
    };
    let headers = response.headers();
    let named: Vec<&[u8]> = headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .collect();
    let ends_here = |name: &HeaderName| {
        OF_THE_CONNECTION.contains(&name.as_str())
            || named.iter().any(|named| named.eq_ignore_ascii_case(name.as_str().as_bytes()))
    };
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    // HTTP/1.1 has looked at what came; of HTTP/2 it is what HTTP/1.1 would have sent.
    if response.version() >= http::Version::HTTP_2 && (bytes + 4 * headers.len()) as u64 > limit {
        return Err(HttpError::Limit(Limit::OutboundHeaders, limit));
    }
    let mut list = HeaderList::with_capacity(headers.len(), bytes);
    for (name, value) in headers {
        if !ends_here(name) {
            list.push(name.as_str().as_bytes(), value.as_bytes());
        }
    }
    Ok((status, reason, list))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nexus_guest::Deadlines;

    fn request(method: &'static str, target: &str, headers: &[(&str, &str)], body: Body) -> OutboundRequest {
        OutboundRequest {
            sender: None,
            depth: 0,
            method: method.into(),
            secure: false,
            host: "example.com".parse().unwrap(),
            port: 8080,
            target: target.to_owned(),
            headers: headers.iter().copied().collect(),
            body,
            deadlines: Deadlines::default(),
        }
    }

    fn sent(request: OutboundRequest) -> Request<Upload> {
        Head::new(&request).unwrap().http1(Upload::new(request.body))
    }

    fn refused(method: &'static str, target: &str, headers: &[(&str, &str)]) -> String {
        match Head::new(&request(method, target, headers, Body::Empty)) {
            Err(HttpError::Invalid(what)) => what,
            _ => panic!("{method} {target:?} {headers:?} is taken"),
        }
    }

    #[test]
    fn targets_are_sent_as_given_or_percent_encoded_where_they_must_be() {
        for (given, expected) in [
            ("/", "/"),
            ("/a%20b/../c?d=e&f", "/a%20b/../c?d=e&f"),
            ("/?q='*!$()", "/?q='*!$()"),
            ("/a\\b", "/a\\b"),
            ("/a<b>`", "/a%3Cb%3E%60"),
            ("/ü", "/%C3%BC"),
        ] {
            let sent = sent(request("GET", given, &[], Body::Empty));
            assert!(
                [expected, &expected.replace('\\', "%5C")].contains(&&*sent.uri().to_string()),
                "{given}"
            );
        }
        for bad in ["", "a", "/a b", "/a#b", "/a\r\nb: c", "/\0", "/\u{7f}", "http://a/", "*"] {
            refused("GET", bad, &[]);
        }
        assert_eq!(sent(request("OPTIONS", "*", &[], Body::Empty)).uri(), "*");
    }

    #[test]
    fn no_byte_of_a_target_panics_or_splits_the_head() {
        for c in (0..=0x24f).filter_map(char::from_u32) {
            if let Ok(head) = Head::new(&request("GET", &format!("/x{c}?{c}y"), &[], Body::Empty)) {
                assert!(head.target.as_str().bytes().all(|byte| byte.is_ascii_graphic()), "{c:?}");
            }
        }
    }

    #[test]
    fn methods_and_fields_that_are_none_are_refused() {
        for method in ["", "GET ", "G\r\nT", "ü", "CONNECT", "TRACE"] {
            refused(method, "/", &[]);
        }
        for field in [("a b", "c"), ("", "c"), ("ü", "c"), ("a", "b\r\nc: d"), ("a", "b\0"), ("a:", "b")] {
            refused("GET", "/", &[field]);
        }
    }

    #[test]
    fn fields_of_the_connection_and_the_framing_are_the_providers() {
        let theirs: Vec<_> = OURS.iter().map(|name| (*name, "x")).chain([("a", "1"), ("a", "2")]).collect();
        let sent = sent(request("POST", "/", &theirs, Body::Full(Bytes::from_static(b"abc"))));
        let fields: Vec<_> = sent.headers().iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
        assert_eq!(fields, [("host", "example.com:8080"), ("a", "1"), ("a", "2"), ("content-length", "3")]);
    }

    #[test]
    fn an_empty_body_has_a_length_only_where_one_is_expected() {
        for (method, expected) in [("GET", None), ("DELETE", None), ("POST", Some("0")), ("PUT", Some("0"))] {
            let sent = sent(request(method, "/", &[], Body::Empty));
            let length = sent.headers().get("content-length").map(|value| value.to_str().unwrap());
            assert_eq!(length, expected, "{method}");
        }
    }

    #[test]
    fn over_http2_the_host_is_in_the_target() {
        let plain = request("GET", "/a?b", &[("x", "1"), ("te", "trailers"), ("x", "2")], Body::Empty);
        let sent =
            Head::new(&plain).unwrap().http2(wants_trailers(&plain), Upload::new(Body::Empty)).unwrap();
        assert_eq!(sent.uri(), "https://example.com:8080/a?b");
        let fields: Vec<_> = sent.headers().iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
        assert_eq!(fields, [("x", "1"), ("x", "2"), ("te", "trailers")]);
    }

    #[test]
    fn fields_that_end_at_the_connection_are_not_told() {
        let answer = Response::builder()
            .status(404)
            .header("connection", "close, X-Hop")
            .header("x-hop", "1")
            .header("keep-alive", "timeout=5")
            .header("set-cookie", "a=1")
            .header("x-raw", HeaderValue::from_bytes(b"\xfc").unwrap())
            .header("set-cookie", "b=2")
            .body(())
            .unwrap();
        let (status, reason, headers) = response(&answer, 1000).unwrap();
        assert_eq!((status, &*reason), (404, &b"Not Found"[..]));
        let fields: Vec<_> = headers.iter().collect();
        let expected: [(&[u8], &[u8]); 3] =
            [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"x-raw", b"\xfc")];
        assert_eq!(fields, expected);
    }
}
