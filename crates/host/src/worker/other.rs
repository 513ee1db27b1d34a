//! What an app's guest sends to another app of the host by a binding.
//!
//! The decision is made at each call. The other app gets no more than it would over HTTP: method, URL, header fields and
//! body, as the guest wrote them; nothing of them says who calls.

use std::borrow::Cow;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use nexus_core::{Access, AppName, Limit, Limits, NetHost};
use nexus_guest::{
    Body, BodyError, BodySource, Called, Capability, CapabilityError, CapabilitySink, ClientAddress, Event,
    Grant, HeaderList, HttpClient, HttpError, OutboundRequest, OutboundResponse, Reply, RequestId,
};
use tokio::task::AbortHandle;

use super::Worker;
use super::service::WorkerService;
use crate::front::{Patience, SentBody, SentRequest, refusal};
use crate::http::{Refusal, Timer, fields};
use crate::inside::{Inside, NotThere};

/// So many apps may ask one another, one in the name of the other's request, before one is refused.
pub(crate) const MOST_DEEP: u8 = 8;

/// The provider's name in metrics.
const PROVIDER: &str = "apps";

/// Another app, as one binding of one worker's guest has it.
pub(super) struct OtherApp(Rc<Inner>);

struct Inner {
    inside: Arc<Inside>,
    worker: Arc<Worker>,
    service: Weak<WorkerService>,
    other: AppName,
    grant: Arc<Grant>,
    sink: Rc<dyn CapabilitySink>,
}

impl OtherApp {
    pub(super) fn new(
        inside: Arc<Inside>,
        (worker, service): (Arc<Worker>, Weak<WorkerService>),
        other: &AppName,
        grant: Arc<Grant>,
        sink: Rc<dyn CapabilitySink>,
    ) -> Self {
        inside.uses();
        Self(Rc::new(Inner { inside, worker, service, other: other.clone(), grant, sink }))
    }
}

impl HttpClient for OtherApp {
    fn send(&self, request: OutboundRequest) -> LocalBoxFuture<'static, Result<OutboundResponse, HttpError>> {
        let inner = self.0.clone();
        Box::pin(async move {
            let (began, sender) = (Instant::now(), request.sender);
            let result = inner.send(request).await;
            inner.tell(sender, began.elapsed(), result.as_ref().err());
            result
        })
    }
}

impl Inner {
    /// Tells what came of a call.
    fn tell(&self, sender: Option<RequestId>, took: Duration, error: Option<&HttpError>) {
        let error = error.map(|error| match error {
            HttpError::NotGranted(denied) => {
                self.sink.denied(sender, denied);
                CapabilityError::Denied((**denied).clone())
            }
            HttpError::Connect(_) => CapabilityError::Unavailable(PROVIDER.into(), "has no such app"),
            HttpError::Limit(Limit::FirstByte, _) | HttpError::Deadline(_) => {
                CapabilityError::TimedOut(PROVIDER.into(), took)
            }
            other => CapabilityError::Invalid(other.to_string()),
        });
        let (capability, operation) = (Capability::App, "fetch");
        self.sink.called(Called { capability, provider: PROVIDER, operation, error: error.as_ref(), took });
    }

    async fn send(&self, request: OutboundRequest) -> Result<OutboundResponse, HttpError> {
        self.grant.decide(Access::Write).map_err(|denied| HttpError::NotGranted(Box::new(denied)))?;
        let depth = request.sender.map_or(request.depth, |sender| sender.depth()).saturating_add(1);
        if depth > MOST_DEEP {
            return Err(HttpError::TooDeep(MOST_DEEP));
        }
        let callee = self.inside.find(&self.other).map_err(|why| self.not_there(why))?;
        let id = match request.sender {
            Some(sender) => self.inside.id_within(sender),
            None => self.inside.next_id(),
        };
        let is_head = &*request.method == "HEAD";
        let limits = &self.worker.app.manifest.limits;
        let incoming = Incoming::new(limits, request.deadlines.idle);
        let theirs = &callee.app().manifest.limits;
        let most = theirs.get(Limit::Body);
        if request.body.exact_length().is_some_and(|length| length > most) {
            let refused = Refusal::BodyTooLarge(most);
            return incoming.response(refusal(refused.status(), refused), is_head, None);
        }
        let first_byte = First::new(limits, request.deadlines.first_byte);
        let url = url(&request)?;
        let headers = headers(&request)?;
        // The app may take its time to read.
        let patience = Patience { source: Some(theirs.time(Limit::Idle)), reader: None };
        let body = match request.body {
            Body::Stream(source) => Body::Stream(Box::new(Bounded { source, left: most, most })),
            whole => whole,
        };
        let (body, passing) = SentBody::of(body, patience);
        let sent = SentRequest {
            id: id.at_depth(depth),
            method: request.method,
            url,
            headers,
            body,
            client: ClientAddress::Inside,
            event: Event::Fetch,
        };
        let arrivals = Some(self.worker.arrivals.clone());
        let service = self.service.upgrade();
        // The next turn may be long.
        let waits = service.filter(|service| !service.polls_long() && service.wakes.ask());
        let mut asked = callee.ask(sent, arrivals, |waker| match &waits {
            Some(service) => service.wakes.add(waker),
            None => waker.wake(),
        });
        drop(waits);
        let mut under_way = UnderWay {
            worker: self.worker.clone(),
            place: self.worker.asking.add(asked.parcel().clone()),
            upload: passing.map(|passing| {
                let passing = tokio::task::spawn_local(async move {
                    let _ = passing.await;
                });
                passing.abort_handle()
            }),
        };
        let answer = asked.answer_until(first_byte.until).await.ok_or(first_byte.error)?;
        let reply = answer.map_or_else(|failure| fields::failure_reply(&failure), |reply| reply.into_reply());
        if !matches!(reply.body, Body::Stream(_)) {
            under_way.is_over();
        }
        incoming.response(reply, is_head, Some(under_way))
    }

    fn not_there(&self, why: NotThere) -> HttpError {
        let Self { other, grant, .. } = self;
        HttpError::Connect(format!("the app `{other}`, of the binding {}, {}", grant.binding, why.why()))
    }
}

/// Until when the response's head is to come.
struct First {
    until: Instant,
    error: HttpError,
}

impl First {
    fn new(limits: &Limits, own: Option<Duration>) -> Self {
        let limit = limits.time(Limit::FirstByte);
        let (time, error) = match own {
            Some(own) if own < limit => (own, HttpError::Deadline("first byte")),
            _ => (limit, HttpError::Limit(Limit::FirstByte, limits.get(Limit::FirstByte))),
        };
        Self { until: Instant::now() + time, error }
    }
}

/// Host and port, as they stand in a URL and in `host`.
fn authority(request: &OutboundRequest) -> String {
    let usual = if request.secure { 443 } else { 80 };
    match &request.host {
        NetHost::Name(name) if request.port == usual => name.to_string(),
        host if request.port == usual => host.to_string(),
        host => format!("{host}:{}", request.port),
    }
}

/// The URL, of a request that could be sent over HTTP.
fn url(request: &OutboundRequest) -> Result<String, HttpError> {
    let OutboundRequest { method, target, secure, .. } = request;
    let is_method = http::Method::from_bytes(method.as_bytes()).is_ok();
    if !is_method || matches!(&**method, "CONNECT" | "TRACE") {
        return Err(HttpError::Invalid(format!("the method `{}` is not for apps", method.escape_debug())));
    }
    let scheme = if *secure { "https" } else { "http" };
    Ok(format!("{scheme}://{}{}", authority(request), sent(target)?))
}

/// A target as it would be sent: what may not stand there is percent-encoded.
fn sent(target: &str) -> Result<Cow<'_, str>, HttpError> {
    let is_bad = |byte: u8| byte <= b' ' || byte == 0x7f || byte == b'#';
    if !target.starts_with('/') || target.bytes().any(is_bad) {
        return Err(HttpError::Invalid(format!("`{}` is no path", target.escape_debug())));
    }
    let is_odd = |byte: u8| !byte.is_ascii() || b"\"<>\\^`{|}".contains(&byte);
    if !target.bytes().any(is_odd) {
        return Ok(Cow::Borrowed(target));
    }
    let mut encoded = String::with_capacity(target.len() + 16);
    for byte in target.bytes() {
        match is_odd(byte) {
            true => encoded.push_str(&format!("%{byte:02X}")),
            false => encoded.push(char::from(byte)),
        }
    }
    Ok(Cow::Owned(encoded))
}

/// The fields as they would come over HTTP.
fn headers(request: &OutboundRequest) -> Result<HeaderList, HttpError> {
    /// What the client of a connection sets by itself, beside what ends there.
    const OURS: [&[u8]; 5] =
        [b"host", b"content-length", b"expect", b"proxy-authenticate", b"http2-settings"];
    let mut headers =
        HeaderList::with_capacity(request.headers.len() + 2, request.headers.byte_length() + 64);
    headers.push(b"host", authority(request).as_bytes());
    for (name, value) in request.headers.iter() {
        if OURS.contains(&name) || fields::ends_at_the_connection(name) {
            continue;
        }
        if !fields::is_safe_value(value) {
            let name = String::from_utf8_lossy(name);
            let what = format!("the value of `{}` has invalid characters", name.escape_debug());
            return Err(HttpError::Invalid(what));
        }
        headers.push(name, value);
    }
    let is_bare = matches!(request.body, Body::Empty);
    let expects = matches!(&*request.method, "POST" | "PUT" | "PATCH");
    if let Some(length) = request.body.exact_length().filter(|_| !is_bare || expects) {
        headers.push(b"content-length", length.to_string().as_bytes());
    }
    Ok(headers)
}

/// A request's body, of which the other app takes so much.
struct Bounded {
    source: Box<dyn BodySource>,
    left: u64,
    most: u64,
}

impl BodySource for Bounded {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        let chunk = self.source.poll_chunk(cx);
        if let Poll::Ready(Some(Ok(bytes))) = &chunk {
            match self.left.checked_sub(bytes.len() as u64) {
                Some(left) => self.left = left,
                None => return Poll::Ready(Some(Err(BodyError::TooLarge { limit: self.most }))),
            }
        }
        chunk
    }

    fn exact_length(&self) -> Option<u64> {
        self.source.exact_length()
    }
}

/// A call that is not over. Dropped before, it is broken off.
struct UnderWay {
    worker: Arc<Worker>,
    place: usize,
    /// What passes the request's body on.
    upload: Option<AbortHandle>,
}

impl UnderWay {
    /// The response is there as a whole: what is left of the request's body is for the other app to take or to leave.
    fn is_over(&mut self) {
        self.upload = None;
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.worker.asking.remove(self.place);
        if let Some(upload) = self.upload.take() {
            upload.abort();
        }
    }
}

/// What the caller's limits say of responses.
struct Incoming {
    head: u64,
    body: u64,
    idle: Duration,
}

impl Incoming {
    fn new(limits: &Limits, own_idle: Option<Duration>) -> Self {
        let idle = limits.time(Limit::Idle);
        let idle = own_idle.map_or(idle, |own| own.min(idle));
        Self { head: limits.get(Limit::OutboundHeaders), body: limits.get(Limit::OutboundBody), idle }
    }

    /// The response that the caller gets: the reply as it would be over HTTP.
    fn response(
        self,
        reply: Reply,
        is_head: bool,
        under_way: Option<UnderWay>,
    ) -> Result<OutboundResponse, HttpError> {
        let Reply { status, headers, body } = reply;
        // Interim and unknown statuses are none that a guest can end a request with.
        let status = if (200..=599).contains(&status) { status } else { 500 };
        let own = headers.get("content-length").and_then(fields::content_length);
        let length = fields::response_length(status, is_head, &body, own);
        let is_bodiless = is_head || fields::is_bodiless(status);
        let mut kept = HeaderList::with_capacity(headers.len() + 1, headers.byte_length() + 32);
        for (name, value) in headers.iter() {
            let is_ours = matches!(name, b"content-length") || fields::ends_at_the_connection(name);
            if !is_ours && fields::is_safe_value(value) {
                kept.push(name, value);
            }
        }
        if let Some(length) = length {
            kept.push(b"content-length", length.to_string().as_bytes());
        }
        if kept.byte_length() as u64 > self.head {
            return Err(HttpError::Limit(Limit::OutboundHeaders, self.head));
        }
        let body = match body {
            _ if is_bodiless => Body::Empty,
            Body::Stream(source) => Body::Stream(Box::new(Arriving {
                source: Some(source),
                under_way,
                declared: length,
                left: self.body,
                most: self.body,
                idle: self.idle,
                timer: Timer::default(),
                deadline: None,
            })),
            Body::Full(bytes) if bytes.len() as u64 > self.body => {
                return Err(HttpError::Limit(Limit::OutboundBody, self.body));
            }
            whole => whole,
        };
        Ok(OutboundResponse { status, reason: Vec::new(), headers: kept, body })
    }
}

/// A response's body as it arrives.
struct Arriving {
    /// `None` once it is over.
    source: Option<Box<dyn BodySource>>,
    under_way: Option<UnderWay>,
    /// What is to come by the head.
    declared: Option<u64>,
    left: u64,
    most: u64,
    idle: Duration,
    timer: Timer,
    deadline: Option<tokio::time::Instant>,
}

impl Arriving {
    /// It is over: the other app is told so.
    fn breaks_off(&mut self, error: BodyError) -> Poll<Option<Result<Bytes, BodyError>>> {
        self.source = None;
        self.under_way = None;
        Poll::Ready(Some(Err(error)))
    }
}

impl BodySource for Arriving {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        let Some(source) = &mut self.source else { return Poll::Ready(None) };
        match source.poll_chunk(cx) {
            Poll::Pending => {
                let idle = self.idle;
                let deadline = *self.deadline.get_or_insert_with(|| tokio::time::Instant::now() + idle);
                match self.timer.poll(Some(deadline), cx) {
                    Poll::Ready(()) => self.breaks_off(BodyError::TimedOut),
                    Poll::Pending => Poll::Pending,
                }
            }
            Poll::Ready(Some(Ok(chunk))) => {
                self.deadline = None;
                let length = chunk.len() as u64;
                let Some(left) = self.left.checked_sub(length) else {
                    let limit = self.most;
                    return self.breaks_off(BodyError::TooLarge { limit });
                };
                self.left = left;
                // A declared length is kept, as it is over HTTP.
                if let Some(declared) = &mut self.declared {
                    match declared.checked_sub(length) {
                        Some(left) => *declared = left,
                        None => return self.breaks_off(BodyError::Aborted),
                    }
                }
                Poll::Ready(Some(Ok(chunk)))
            }
            Poll::Ready(Some(Err(error))) => self.breaks_off(error),
            Poll::Ready(None) => {
                if self.declared.is_some_and(|left| left > 0) {
                    return self.breaks_off(BodyError::Aborted);
                }
                self.source = None;
                if let Some(mut under_way) = self.under_way.take() {
                    under_way.is_over();
                }
                Poll::Ready(None)
            }
        }
    }

    fn exact_length(&self) -> Option<u64> {
        self.source.as_ref().and_then(|source| source.exact_length())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, target: &str, fields: &[(&str, &str)]) -> OutboundRequest {
        OutboundRequest {
            sender: None,
            depth: 0,
            method: method.to_owned().into(),
            secure: false,
            host: NetHost::Name("b".into()),
            port: 80,
            target: target.into(),
            headers: fields.iter().copied().collect(),
            body: Body::Empty,
            deadlines: Default::default(),
        }
    }

    #[test]
    fn a_request_is_as_it_could_be_sent_over_http() {
        let sent = |method, target| url(&request(method, target, &[]));
        assert_eq!(sent("GET", "/a%20b/../c?d=e&f").unwrap(), "http://b/a%20b/../c?d=e&f");
        assert_eq!(sent("PURGE", "/ü<`").unwrap(), "http://b/%C3%BC%3C%60");
        for bad in ["", "a", "*", "/a b", "/a#b", "/a\r\nb: c", "/\0", "http://a/"] {
            assert_eq!(sent("GET", bad).unwrap_err().code(), "EINVAL", "{bad}");
        }
        for bad in ["CONNECT", "TRACE", "", "G T"] {
            assert_eq!(sent(bad, "/").unwrap_err().code(), "EINVAL", "{bad}");
        }
    }

    #[test]
    fn what_belongs_to_a_connection_is_the_hosts_to_say() {
        let fields = [("host", "x"), ("te", "trailers"), ("content-length", "7"), ("a", "1"), ("a", "2")];
        let fields_of = |method| {
            let headers = headers(&request(method, "/", &fields)).unwrap();
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            headers.iter().map(|(name, value)| format!("{}={}", text(name), text(value))).collect::<Vec<_>>()
        };
        assert_eq!(fields_of("GET"), ["host=b", "a=1", "a=2"]);
        assert_eq!(fields_of("POST"), ["host=b", "a=1", "a=2", "content-length=0"]);
        assert_eq!(headers(&request("GET", "/", &[("a", "1\r\nb: 2")])).unwrap_err().code(), "EINVAL");
    }

    #[test]
    fn a_response_is_as_it_would_come_over_http() {
        let incoming = || Incoming { head: 100, body: 10, idle: Duration::from_secs(1) };
        let reply = |status, fields: &[(&str, &str)], text: &'static str| Reply {
            status,
            headers: fields.iter().copied().collect(),
            body: Body::Full(Bytes::from_static(text.as_bytes())),
        };
        let length = |response: &OutboundResponse| response.headers.get("content-length").map(<[u8]>::to_vec);
        let fields = [("content-length", "9"), ("connection", "close"), ("a", "1")];
        let whole = incoming().response(reply(200, &fields, "abc"), false, None).unwrap();
        assert_eq!((length(&whole), whole.headers.len()), (Some(b"3".to_vec()), 2));
        let head = incoming().response(reply(200, &fields, "abc"), true, None).unwrap();
        assert!(matches!(head.body, Body::Empty) && length(&head) == Some(b"3".to_vec()));
        let none = incoming().response(reply(204, &[], "abc"), false, None).unwrap();
        assert!(matches!(none.body, Body::Empty) && length(&none).is_none());
        assert_eq!(incoming().response(reply(99, &[], ""), false, None).unwrap().status, 500);
        let large = incoming().response(reply(200, &[], "abcdefghijk"), false, None).unwrap_err();
        assert_eq!(large, HttpError::Limit(Limit::OutboundBody, 10));
        let long = "x".repeat(100);
        let large = incoming().response(reply(200, &[("a", &long)], ""), false, None).unwrap_err();
        assert_eq!(large, HttpError::Limit(Limit::OutboundHeaders, 100));
    }
}
