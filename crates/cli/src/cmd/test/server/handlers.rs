//! What the suite's Python handlers answer, as far as test files need it: those of `fetch/api/resources`, and a few
//! that others ask for.

use std::collections::HashMap;
use std::io;
use std::sync::PoisonError;
use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::message::{Reply, Request, decode, encode};
use super::{IDLE, State, site};

/// Values that tests put aside for a later request, by folder and key.
pub(super) type Stash = HashMap<(String, Vec<u8>), Vec<u8>>;
/// The most of them; what comes beyond is refused. Each is part of a request's head, and as small.
const STASHED: usize = 1000;
const FULL: &str = "the stash is full";
/// The longest that a handler waits before it goes on, and the most pieces that it sends.
const LONGEST_WAIT: u64 = 60_000;
const MOST_PIECES: u64 = 100_000;

/// What the header is called that says what a response would have needed; the harness looks for it.
pub(in crate::cmd::test) const NEEDS: &str = "nexus-needs";

/// One folder's part of the stash.
struct Folder<'s> {
    state: &'s State,
    name: &'s str,
}

impl Folder<'_> {
    fn key(&self, key: &[u8]) -> (String, Vec<u8>) {
        (self.name.to_owned(), key.to_owned())
    }

    /// Puts a value aside. False if there is no room for it.
    fn put(&self, key: &[u8], value: impl Into<Vec<u8>>) -> bool {
        let mut stash = self.state.stash.lock().unwrap_or_else(PoisonError::into_inner);
        let key = self.key(key);
        if stash.len() >= STASHED && !stash.contains_key(&key) {
            return false;
        }
        stash.insert(key, value.into());
        true
    }

    /// Takes a value back; it is not there any more.
    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.state.stash.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key(key))
    }
}

/// Answers a request. Without a reply the answer went out piece by piece, and the connection ends with it.
pub(super) async fn handle(
    request: &Request,
    state: &State,
    stream: &mut TcpStream,
) -> io::Result<Option<Reply>> {
    let path = decode(request.path.trim_start_matches('/'), false);
    let path = String::from_utf8_lossy(&path);
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
    if !name.ends_with(".py") {
        return Ok(Some(site::file(request, &path, &state.root).await));
    }
    let stash = Folder { state, name: folder };
    let reply = match (folder, name) {
        ("fetch/api/resources", "infinite-slow-response.py") => {
            return endless(request, &stash, stream).await;
        }
        ("fetch/api/resources", "trickle.py") => return trickle(request, stream).await,
        ("fetch/api/resources", "bad-chunk-encoding.py") => return bad_chunks(request, stream).await,
        ("fetch/api/resources", "redirect.py") => redirect(request, &stash).await,
        ("fetch/api/resources", "method.py") => method(request),
        ("fetch/api/resources", "inspect-headers.py") => inspect_headers(request),
        ("fetch/api/resources", "echo-content.py") => echo_content(request),
        ("fetch/api/resources", "status.py") => status(request),
        ("fetch/api/resources", "authentication.py") => authentication(request),
        ("fetch/api/resources", "dump-authorization-header.py") => dump_authorization(request),
        ("fetch/api/resources", "cache.py") => cache(request),
        ("fetch/api/resources", "redirect-empty-location.py") => Reply::new(302, "").with("Location", ""),
        (
            "fetch/api/resources"
            | "fetch/content-encoding/resources"
            | "fetch/content-encoding/gzip/resources",
            "bad-gzip-body.py",
        ) => Reply::plain(200, "not actually gzip").with("Content-Encoding", "gzip"),
        ("fetch/api/resources", "stash-put.py") => match (request.get("key"), request.get("value")) {
            (Some(key), Some(value)) => match stash.put(&key, value) {
                true => Reply::plain(200, "done"),
                false => Reply::plain(500, FULL),
            },
            _ => Reply::plain(400, "it needs a key and a value"),
        },
        ("fetch/api/resources", "stash-take.py") => {
            let value = request.get("key").and_then(|key| stash.take(&key));
            let value = value.map(|value| String::from_utf8_lossy(&value).into_owned());
            Reply::new(200, json!(value).to_string()).with("Content-Type", "application/json")
        }
        ("fetch/api/resources", "clean-stash.py") => {
            let was_there = request.get("token").is_some_and(|token| stash.take(&token).is_some());
            Reply::plain(200, if was_there { "1" } else { "0" })
        }
        ("eventsource/resources", "message.py") => message(request).await,
        ("eventsource/resources", "status-error.py") => {
            let status = request.number("status").filter(|status| (200..600).contains(status)).unwrap_or(404);
            Reply::new(status, "data: data\n\n").with("Content-Type", "text/event-stream")
        }
        ("eventsource/resources", "last-event-id.py") => last_event_id(request),
        ("fetch/connection-pool/resources", "network-partition-key.py") => partition(request, &stash, stream),
        ("fetch/content-length/resources", "content-length.py") => {
            let length = request.get("length").unwrap_or_default();
            let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain;charset=UTF-8\r\nConnection: close\r\n";
            let body = b"\r\n\r\nFact: this is really forty-two bytes long.";
            Reply::raw([head, &*length, body].concat())
        }
        ("fetch/h1-parsing/resources", "message.py") => {
            Reply::raw(request.get("message").unwrap_or_default())
        }
        ("fetch/h1-parsing/resources", "status-code.py") => {
            let input = request.get("input").unwrap_or_default();
            Reply::raw([b"HTTP/1.1 ", &*input, b"\nheader-parsing: is sad\n\n"].concat())
        }
        ("xhr/resources" | "XMLHttpRequest/resources", "echo-headers.py") => echo_headers(request),
        ("common", "slow.py") => {
            wait(request.number("delay").unwrap_or(2000)).await;
            Reply::new(200, "")
        }
        ("common", "redirect.py") => {
            let status = request.number("status").filter(|status| (300..400).contains(status)).unwrap_or(302);
            Reply::new(status, "").with("Location", request.get("location").unwrap_or_default())
        }
        _ => missing(request, "of the tests' server"),
    };
    Ok(Some(reply))
}

/// What is not here: the response says so to the harness, for the test is not to blame.
pub(super) fn missing(request: &Request, why: &str) -> Reply {
    let space = if why.starts_with(',') { "" } else { " " };
    Reply::plain(404, "not found").with(NEEDS, format!("{}{space}{why}", request.path))
}

async fn wait(milliseconds: u64) {
    sleep(Duration::from_millis(milliseconds.min(LONGEST_WAIT))).await;
}

/// Writes a piece of a response, as long as the client takes it.
async fn write(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    timeout(IDLE, stream.write_all(bytes)).await.map_err(io::Error::from)?
}

/// Begins a response that ends with the connection.
async fn begin(stream: &mut TcpStream, reply: Reply) -> io::Result<()> {
    write(stream, &reply.with("Connection", "close").head()).await
}

/// Says whether the connection is open, and sends a byte now and then until it is told to end, or the client leaves.
async fn endless(request: &Request, stash: &Folder<'_>, stream: &mut TcpStream) -> io::Result<Option<Reply>> {
    let (state, abort) = (request.get("stateKey"), request.get("abortKey"));
    let tell = |what: &str| {
        if let Some(key) = &state {
            stash.put(key, what);
        }
    };
    tell("open");
    let sent = async {
        begin(stream, Reply::plain(200, "")).await?;
        write(stream, &[b'.'; 2048]).await?;
        for _ in 0..MOST_PIECES {
            if abort.as_ref().is_some_and(|key| stash.take(key).is_some()) {
                break;
            }
            write(stream, b".").await?;
            wait(10).await;
        }
        stream.shutdown().await
    };
    let sent = sent.await;
    tell("closed");
    sent.map(|()| None)
}

/// A body that comes piece by piece.
async fn trickle(request: &Request, stream: &mut TcpStream) -> io::Result<Option<Reply>> {
    let pause = request.number("ms").unwrap_or(500);
    let count = request.number("count").unwrap_or(50).min(MOST_PIECES);
    wait(pause).await;
    let has_type = request.get("notype").is_none();
    begin(stream, if has_type { Reply::plain(200, "") } else { Reply::new(200, "") }).await?;
    wait(pause).await;
    for _ in 0..count {
        write(stream, b"TEST_TRICKLE\n").await?;
        wait(pause).await;
    }
    stream.shutdown().await?;
    Ok(None)
}

/// Chunks, and then what is none.
async fn bad_chunks(request: &Request, stream: &mut TcpStream) -> io::Result<Option<Reply>> {
    let pause = request.number("ms").unwrap_or(1000);
    let count = request.number("count").unwrap_or(50).min(MOST_PIECES);
    wait(pause).await;
    begin(stream, Reply::new(200, "").with("Transfer-Encoding", "chunked")).await?;
    wait(pause).await;
    for _ in 0..count {
        write(stream, b"a\r\nTEST_CHUNK\r\n").await?;
        wait(pause).await;
    }
    write(stream, b"garbage").await?;
    stream.shutdown().await?;
    Ok(None)
}

/// Redirects, and counts how often it did for a token.
async fn redirect(request: &Request, stash: &Folder<'_>) -> Reply {
    let token = request.get("token");
    let before = token.as_ref().and_then(|token| stash.take(token));
    let before: u64 = before.and_then(|count| String::from_utf8(count).ok()?.parse().ok()).unwrap_or(0);
    let status =
        request.number("redirect_status").filter(|status| (200..600).contains(status)).unwrap_or(302);
    let count = before + 1;
    let mut reply = Reply::plain(status, "").with("Cache-Control", "no-cache").with("Pragma", "no-cache");
    if let Some(mut location) = request.get("location") {
        let text = String::from_utf8_lossy(&location).to_ascii_lowercase();
        let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
        // A colon may be in a path, too.
        let is_web = scheme.contains(['/', '?', '#']) || matches!(scheme, "" | "http" | "https");
        if is_web && request.get("omit_parameters").is_none() && request.get("simple").is_none() {
            location.push(if location.contains(&b'?') { b'&' } else { b'?' });
            for (name, value) in request.parameters() {
                location.extend(format!("{}={}&", encode(&name), encode(&value)).bytes());
            }
            // Another one each time.
            location.extend(format!("count={count}").bytes());
        }
        reply = reply.with("Location", location);
    }
    if let Some(policy) = request.get("redirect_referrerpolicy") {
        reply = reply.with("Referrer-Policy", policy);
    }
    if let Some(delay) = request.number("delay") {
        wait(delay).await;
    }
    if let Some(token) = &token {
        if !stash.put(token, count.to_string()) {
            return Reply::plain(500, FULL);
        }
        if request.number("max_count").is_some_and(|most: u64| count > most) {
            // The last one is no redirect.
            return Reply::plain(200, &before.to_string());
        }
    }
    reply
}

/// What a request's body is said to be, and that body.
fn method(request: &Request) -> Reply {
    let mut reply = Reply::new(200, request.body.clone()).with("x-request-method", &*request.method);
    for name in ["content-type", "content-encoding", "content-language", "content-location", "authorization"]
    {
        let value = request.joined(name).unwrap_or_else(|| b"NO".into());
        reply = reply.with(format!("x-request-{name}"), value);
    }
    reply
}

/// The request's fields that are asked for.
fn inspect_headers(request: &Request) -> Reply {
    let mut reply = Reply::plain(200, "").with("Cache-Control", "no-cache").with("Vary", "*");
    for name in request.text("headers").split('|') {
        if let Some(value) = request.joined(name) {
            reply = reply.with(format!("x-request-{name}"), value);
        }
    }
    reply
}

/// The request's body again.
fn echo_content(request: &Request) -> Reply {
    let mut reply = Reply::new(200, request.body.clone()).with("X-Request-Method", &*request.method);
    for name in ["Content-Length", "Content-Type", "Referer"] {
        let value = request.joined(name).unwrap_or_else(|| b"NO".into());
        reply = reply.with(format!("X-Request-{name}"), value);
    }
    reply.with("Content-Type", "text/plain")
}

/// The status, the reason and the body that are asked for.
fn status(request: &Request) -> Reply {
    let code = request.number("code").filter(|code| (100..1000).contains(code)).unwrap_or(200);
    let text = request.get("text").unwrap_or_else(|| b"OMG".into());
    Reply::new(code, request.get("content").unwrap_or_default())
        .at_status(code, Some(text))
        .with("Content-Type", request.get("type").unwrap_or_default())
        .with("X-Request-Method", &*request.method)
}

/// Lets in whoever is `user` with the password `password`.
fn authentication(request: &Request) -> Reply {
    // "Basic", and both in base64.
    if request.field("authorization") == Some(b"Basic dXNlcjpwYXNzd29yZA==") {
        return Reply::plain(200, "Authentication done");
    }
    let realm = request.get("realm").unwrap_or_else(|| b"test".into());
    let challenge = [b"Basic realm=\"", &*realm, b"\""].concat();
    Reply::plain(401, "Please login with credentials 'user' and 'password'")
        .with("WWW-Authenticate", challenge)
}

/// The request's `authorization`.
fn dump_authorization(request: &Request) -> Reply {
    let value = request.joined("authorization").unwrap_or_else(|| b"none".into());
    Reply::new(200, value).with("Content-Type", "text/html").with("Cache-Control", "no-store")
}

/// Something that does not change.
fn cache(request: &Request) -> Reply {
    const TAG: &str = "\"123abc\"";
    let is_known = request.field("if-none-match") == Some(TAG.as_bytes());
    let reply = if is_known { Reply::new(304, "") } else { Reply::plain(200, "lorem ipsum dolor sit amet") };
    reply.with("ETag", TAG)
}

/// How often it was asked for a `uuid`, and over how many connections. Of partitions there is one.
fn partition(request: &Request, stash: &Folder<'_>, stream: &TcpStream) -> Reply {
    if request.text("dispatch") != "check_partition" {
        return missing(request, "with another dispatch");
    }
    let uuid = request.get("uuid").unwrap_or_default();
    let mut ports = stash.take(&uuid).unwrap_or_default();
    // Two bytes for each request, the client's port.
    let port = stream.peer_addr().map_or(0, |address| address.port());
    ports.extend(port.to_be_bytes());
    let requests = ports.len() / 2;
    let mut connections: Vec<&[u8]> = ports.chunks(2).collect();
    connections.sort_unstable();
    connections.dedup();
    let counts =
        format!(" Request was sent {requests} times. {} connections were created.", connections.len());
    let counts = if request.get("addcounter").is_some() { &counts } else { "" };
    let status = request.number("status").filter(|status| (200..600).contains(status)).unwrap_or(200);
    let reply = Reply::plain(status, &format!("ok.{counts}")).with("Cache-Control", "no-store");
    if stash.put(&uuid, ports) { reply } else { Reply::plain(500, FULL) }
}

/// One event.
async fn message(request: &Request) -> Reply {
    if let Some(pause) = request.number("sleep") {
        wait(pause).await;
    }
    let mut body = request.get("message").unwrap_or_else(|| b"data: data".into());
    let end = if request.get("newline").as_deref() == Some(b"none") { "\n" } else { "\n\n\n" };
    body.extend_from_slice(end.as_bytes());
    let kind = request.get("mime").unwrap_or_else(|| b"text/event-stream".into());
    Reply::new(200, body).with("Content-Type", kind)
}

/// An event with an id; to whoever had that one already, the id that it tells.
fn last_event_id(request: &Request) -> Reply {
    let last = request.field("last-event-id").unwrap_or_default();
    let body = if last.is_empty() {
        let id = request.get("idvalue").unwrap_or_else(|| "\u{2026}".into());
        [b"id: ", &*id, b"\nretry: 200\ndata: hello\n\n"].concat()
    } else {
        [b"data: ", last, b"\n\n"].concat()
    };
    Reply::new(200, body).with("Content-Type", "text/event-stream")
}

/// The request's fields as they came.
fn echo_headers(request: &Request) -> Reply {
    let mut text = Vec::new();
    for (name, value) in &request.fields {
        text.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    Reply::new(200, text).with("Content-Type", "text/plain")
}
