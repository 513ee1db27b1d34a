//! From what a guest sends to what the host's client takes, and back.

use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{BodyExt, Empty, Full};
use nexus_core::{Limit, NetHost};
use nexus_guest::{
    Body, Deadlines, HeaderList, HttpClient, HttpError as Failed, OutboundRequest, OutboundResponse,
    RequestId, method,
};
use tokio::sync::{mpsc, oneshot};
use wasmtime_wasi_http::{Error as HttpError, RequestOptions, WasiBody};

use super::body::{self, Taken};
use crate::account::{Held, WorkerMemory};
use crate::exchange::{Pump, Upload};
use crate::hooks::Sending;

/// What is counted for a request or a response beside its head and its body, in bytes: its task, channels, buffers.
const FIXED: u64 = 4 * 1024;
/// The same for a field beside its name and its value.
const FIELD: u64 = 128;
/// The most that is counted for a response's body: more of it is never held at once.
const BODY: u64 = 64 * 1024;
/// The same for a request's, of which so much is gathered, and then either another chunk, or all of it in one piece.
const GATHERED: u64 = 2 * body::GATHERED as u64;

/// What the host holds of a request that a guest sends, in bytes.
pub(super) fn size(request: &http::Request<WasiBody>) -> u64 {
    let fields = request.headers().iter().map(|(name, value)| field(name.as_str(), value.as_bytes()));
    let length = request.body().size_hint().exact().or(length(request.headers()));
    let (method, uri) = (request.method().as_str(), request.uri());
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let target = uri.path_and_query().map_or("", |target| target.as_str());
    let line = (method.len() + authority.len() + target.len()) as u64;
    FIXED
        + line
        + fields.sum::<u64>()
        + length.map_or(GATHERED, |length| length.saturating_mul(2).min(GATHERED))
}

fn field(name: impl AsRef<[u8]>, value: &[u8]) -> u64 {
    FIELD + name.as_ref().len() as u64 + value.len() as u64
}

/// A response, whether the request's body was sent, and what passes the response's body on.
pub(super) struct Received {
    pub(super) response: http::Response<WasiBody>,
    pub(super) sending: Sending,
    pub(super) pump: Option<Pump>,
}

/// Sends a request, and waits for its response's head. What is `held` for it is so until then, or until its body is sent.
pub(super) async fn send(
    http: &dyn HttpClient,
    request: http::Request<WasiBody>,
    options: Option<RequestOptions>,
    (sender, depth): (Option<RequestId>, u8),
    held: Held,
    memory: &Arc<WorkerMemory>,
) -> Result<Received, HttpError> {
    let held = Arc::new(held);
    let (head, body) = request.into_parts();
    let Place { secure, host, port, target } = place(&head.uri).ok_or(HttpError::HttpRequestUriInvalid)?;
    let Taken { body, fault, sent } = body::take(body, length(&head.headers), held.clone()).await;
    let mut headers = HeaderList::new();
    for (name, value) in &head.headers {
        headers.push(name.as_str().as_bytes(), value.as_bytes());
    }
    let request = OutboundRequest {
        sender,
        depth,
        method: method(head.method.as_str()),
        secure,
        host,
        port,
        target,
        headers,
        body,
        deadlines: deadlines(options),
    };
    let response = http.send(request).await.map_err(|error| match error {
        // What the guest's own body says is more exact.
        Failed::Body(why) => fault.take().unwrap_or(HttpError::InternalError(Some(why))),
        error => http_error(error),
    })?;
    received(response, sent, memory)
}

/// Where a request goes.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    secure: bool,
    host: NetHost,
    port: u16,
    target: String,
}

/// Reads a request's URI. User information is for nobody on the way to see, so there is none.
fn place(uri: &http::Uri) -> Option<Place> {
    let secure = match uri.scheme_str()? {
        "http" => false,
        "https" => true,
        _ => return None,
    };
    let authority = uri.authority()?.as_str();
    // The colons of an IPv6 address are in brackets.
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (authority, ""),
    };
    let port = match port {
        "" if secure => 443,
        "" => 80,
        digits if digits.bytes().all(|b| b.is_ascii_digit()) => {
            digits.parse().ok().filter(|port| *port > 0)?
        }
        _ => return None,
    };
    let target = match uri.path_and_query().map_or("", |target| target.as_str()) {
        target if target.starts_with('/') => target.to_owned(),
        // Nothing, or a query alone.
        target => format!("/{target}"),
    };
    Some(Place { secure, host: host.parse().ok()?, port, target })
}

fn length(headers: &http::HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn deadlines(options: Option<RequestOptions>) -> Deadlines {
    let Some(options) = options else { return Deadlines::default() };
    Deadlines {
        connect: options.connect_timeout,
        first_byte: options.first_byte_timeout,
        idle: options.between_bytes_timeout,
    }
}

/// The response as the guest gets it: on the account of the worker's memory as long as anything of it is there.
fn received(
    response: OutboundResponse,
    sent: Option<oneshot::Receiver<Result<(), HttpError>>>,
    memory: &Arc<WorkerMemory>,
) -> Result<Received, HttpError> {
    let OutboundResponse { status, headers, body, .. } = response;
    let hold = |bytes| memory.hold(bytes, "the response").map_err(|why| HttpError::InternalError(Some(why)));
    let of_head =
        Arc::new(hold(FIXED + headers.iter().map(|(name, value)| field(name, value)).sum::<u64>())?);
    let of_body = hold(match &body {
        Body::Empty => 0,
        Body::Full(bytes) => bytes.len() as u64,
        body => body.exact_length().map_or(BODY, |length| length.min(BODY)),
    })?;
    let mut head = http::Response::new(());
    *head.status_mut() = http::StatusCode::from_u16(status).map_err(|_| HttpError::HttpProtocolError)?;
    // The guest may keep any of the values, and nothing else.
    let all = headers.iter().flat_map(|(_, value)| value).copied().collect();
    let mut values = Bytes::from_owner(Values { all, _held: of_head.clone() });
    for (name, value) in headers.iter() {
        let name = http::HeaderName::from_bytes(name).map_err(|_| HttpError::HttpProtocolError)?;
        let value = http::HeaderValue::from_maybe_shared(values.split_to(value.len()))
            .map_err(|_| HttpError::HttpProtocolError)?;
        head.headers_mut().append(name, value);
    }
    let (body, pump) = match body {
        Body::Empty => (whole(Bytes::new()), None),
        Body::Full(bytes) => (whole(bytes), None),
        Body::Stream(source) => {
            let (sender, chunks) = mpsc::channel(1);
            let download = Upload::new(chunks, source.exact_length());
            (download.boxed_unsync(), Some(Box::pin(body::pass_on(source, sender)) as Pump))
        }
    };
    let sending: Sending = match sent {
        None => Box::new(ready(Ok(()))),
        Some(sent) => Box::new(async {
            // Who finds an error here at once throws the response away, which a peer may give before it has read all.
            tokio::task::yield_now().await;
            sent.await.unwrap_or(Err(HttpError::ConnectionTerminated))
        }),
    };
    let body = Kept { body, _of_head: of_head, _of_body: of_body }.boxed_unsync();
    Ok(Received { response: head.map(|()| body), sending, pump })
}

/// The values of a head's fields, one after another.
struct Values {
    all: Vec<u8>,
    _held: Arc<Held>,
}

impl AsRef<[u8]> for Values {
    fn as_ref(&self) -> &[u8] {
        &self.all
    }
}

/// A response's body, with what is held for it.
struct Kept {
    body: WasiBody,
    _of_head: Arc<Held>,
    _of_body: Held,
}

impl HttpBody for Kept {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn whole(bytes: Bytes) -> WasiBody {
    match bytes.is_empty() {
        true => Empty::new().map_err(|never| match never {}).boxed_unsync(),
        false => Full::new(bytes).map_err(|never| match never {}).boxed_unsync(),
    }
}

/// What the guest is told. Codes that have no text say less than the host knows: where the author could do something
/// about it, the host's log says it.
fn http_error(error: Failed) -> HttpError {
    match error {
        Failed::Denied(_) | Failed::NotGranted(_) => HttpError::HttpRequestDenied,
        Failed::Name(why) => HttpError::DnsError { rcode: Some(why), info_code: None },
        Failed::Connect(why) if why.to_ascii_lowercase().contains("refused") => HttpError::ConnectionRefused,
        Failed::Connect(_) => HttpError::DestinationUnavailable,
        Failed::Tls(why) if why.contains("its certificate") => HttpError::TlsCertificateError,
        Failed::Tls(_) => HttpError::TlsProtocolError,
        Failed::Limit(Limit::Connect, _) | Failed::Deadline("connect") => HttpError::ConnectionTimeout,
        Failed::Limit(Limit::FirstByte, _) | Failed::Deadline(_) => HttpError::HttpResponseTimeout,
        Failed::Limit(Limit::OutboundHeaders, size) => {
            HttpError::HttpResponseHeaderSectionSize(u32::try_from(size).ok())
        }
        Failed::TooDeep(_) => HttpError::LoopDetected,
        Failed::Closed => HttpError::ConnectionTerminated,
        Failed::Protocol(_) => HttpError::HttpProtocolError,
        error @ (Failed::Limit(..) | Failed::Body(_) | Failed::Invalid(_)) => {
            HttpError::InternalError(Some(error.to_string()))
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream::pending;
    use http_body_util::StreamBody;
    use nexus_core::{Limits, NetDenied};
    use nexus_guest::Watch;
    use proptest::prelude::*;

    use super::*;

    fn placed(uri: &str) -> Option<(bool, String, u16, String)> {
        let Place { secure, host, port, target } = place(&uri.parse().ok()?)?;
        Some((secure, host.to_string(), port, target))
    }

    #[test]
    fn a_request_goes_where_its_scheme_and_its_authority_say() {
        let to = |secure, host: &str, port, target: &str| Some((secure, host.into(), port, target.into()));
        assert_eq!(placed("http://example.com"), to(false, "example.com", 80, "/"));
        assert_eq!(placed("https://EXAMPLE.com./a?b=%20"), to(true, "example.com", 443, "/a?b=%20"));
        assert_eq!(placed("https://10.0.0.1:8080/"), to(true, "10.0.0.1", 8080, "/"));
        assert_eq!(placed("http://[::1]/"), to(false, "[::1]", 80, "/"));
        assert_eq!(placed("http://[::ffff:127.0.0.1]:81?a"), to(false, "127.0.0.1", 81, "/?a"));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for uri in [
            "ftp://example.com/",
            "http://user@example.com/",
            "http://granted.example:80@example.com/",
            "http://example.com:0/",
            "http://example.com:65536/",
            "http://example.com:+80/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://127.1/",
            "http://[::1/",
            "/only/a/path",
        ] {
            assert_eq!(placed(uri), None, "{uri}");
        }
    }

    #[test]
    fn a_request_counts_with_all_that_a_guest_gives_it() {
        let request = http::Request::builder().method("SOMETHING").uri("http://example.com:80/a?b");
        let request = request.header("a", "one").body(whole(Bytes::new())).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(size(&request), FIXED + 9 + 14 + 4 + FIELD + 4);
    }

    #[test]
    fn a_request_counts_with_as_much_of_its_body_as_is_held_of_it() {
        for (length, counted) in [(1000, 2000), (1 << 16, 2 << 16), (1 << 30, 2 << 16)] {
            let request = http::Request::builder().header(CONTENT_LENGTH, length);
            // Of a length that only the field says.
            let body = StreamBody::new(pending::<Result<Frame<Bytes>, HttpError>>()).boxed_unsync();
            let held = size(&request.body(body).unwrap_or_else(|error| panic!("{error}")));
            let line = 1 + 3 + field("content-length", length.to_string().as_bytes());
            assert_eq!(held, FIXED + line + counted, "{length}");
        }
    }

    fn memory(limit: u64) -> Arc<WorkerMemory> {
        let mut limits = Limits::default();
        limits.set(Limit::Memory, limit);
        Arc::new(WorkerMemory::new(&limits, Arc::new(Watch::new())))
    }

    fn answered(fields: &[(&str, &str)], body: Body) -> OutboundResponse {
        let headers = HeaderList::from_iter(fields.iter().copied());
        OutboundResponse { status: 200, reason: Vec::new(), headers, body }
    }

    #[test]
    fn a_response_is_on_the_account_as_long_as_anything_of_it_is_there() {
        let memory = memory(1 << 20);
        let response =
            answered(&[("a", "one"), ("b", ""), ("a", "two")], Body::Full(vec![1; 100_000].into()));
        let response = received(response, None, &memory).unwrap_or_else(|error| panic!("{error}")).response;
        let head = FIXED + 3 * FIELD + 9;
        assert_eq!(memory.total(), head + 100_000, "what is whole is all there");
        let (parts, body) = response.into_parts();
        let all: Vec<&[u8]> = parts.headers.get_all("a").iter().map(http::HeaderValue::as_bytes).collect();
        assert_eq!(
            (all, &parts.headers["b"]),
            (vec![&b"one"[..], b"two"], &http::HeaderValue::from_static(""))
        );
        drop(body);
        assert_eq!(memory.total(), head);
        let kept = parts.headers["a"].clone();
        drop(parts);
        assert_eq!(memory.total(), head, "the guest has one value of it");
        drop(kept);
        assert_eq!(memory.total(), 0);
    }

    #[test]
    fn a_body_that_comes_in_chunks_counts_as_much_as_is_held_of_it() {
        let memory = memory(1 << 20);
        for (length, counted) in [(Some(10), 10), (Some(1 << 30), BODY), (None, BODY)] {
            let (_writer, body) = nexus_guest::pipe(1000, length);
            let received = received(answered(&[], body), None, &memory).map_err(drop);
            assert_eq!(memory.total(), FIXED + counted, "{length:?}");
            drop(received);
            assert_eq!(memory.total(), 0);
        }
    }

    #[test]
    fn a_response_for_which_there_is_no_memory_is_an_error_that_names_the_limit() {
        let memory = memory(64 << 10);
        for body in [Body::Full(vec![1; 64 << 10].into()), Body::Empty] {
            let long = "x".repeat(60 << 10);
            let refused =
                received(answered(&[("a", &long)], body), None, &memory).err().map(|e| e.to_string());
            let told = "internal error: no memory for the response (limit: memory 64 KB)";
            assert_eq!(refused.as_deref(), Some(told));
            assert_eq!(memory.total(), 0);
        }
    }

    #[test]
    fn each_error_has_the_code_that_says_most() {
        let code = |error: Failed| format!("{:?}", http_error(error));
        let denied = NetDenied::new("a".parse().unwrap(), 80, None);
        for (error, expected) in [
            (Failed::Denied(denied), "HttpRequestDenied"),
            (Failed::Connect("127.0.0.1:9: Connection refused".into()), "ConnectionRefused"),
            (Failed::Connect("no route to host".into()), "DestinationUnavailable"),
            (Failed::Tls("a: its certificate has expired".into()), "TlsCertificateError"),
            (Failed::Tls("a: the peer does not speak TLS here".into()), "TlsProtocolError"),
            (Failed::Limit(Limit::Connect, 1), "ConnectionTimeout"),
            (Failed::Deadline("connect"), "ConnectionTimeout"),
            (Failed::Limit(Limit::FirstByte, 1), "HttpResponseTimeout"),
            (Failed::Deadline("first byte"), "HttpResponseTimeout"),
            (Failed::Limit(Limit::OutboundHeaders, 9), "HttpResponseHeaderSectionSize(Some(9))"),
            (Failed::Closed, "ConnectionTerminated"),
            (Failed::Protocol("x".into()), "HttpProtocolError"),
        ] {
            assert_eq!(code(error.clone()), expected, "{error}");
        }
        assert!(code(Failed::Name("unknown".into())).starts_with("DnsError { rcode: Some(\"unknown\")"));
        assert!(code(Failed::Invalid("what".into())).contains("cannot be sent: what"));
    }

    proptest! {
        #[test]
        fn any_authority_is_a_host_and_a_port_or_refused(authority in "[!-~]{0,30}") {
            // As wasmtime-wasi-http makes it of what a guest says.
            let uri = http::Uri::builder().scheme("http").authority(&*authority).path_and_query("/").build();
            if let Some(place) = uri.ok().as_ref().and_then(place) {
                prop_assert!(place.port > 0 && place.target == "/" && !authority.contains('@'));
                let shown = format!("{}:{}", place.host, place.port);
                let named = authority.to_ascii_lowercase().replace('.', "");
                if let NetHost::Name(name) = &place.host {
                    prop_assert!(named.starts_with(&name.replace('.', "")), "{authority:?} is {shown}");
                }
            }
        }
    }
}
