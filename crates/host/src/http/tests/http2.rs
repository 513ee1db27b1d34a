//! HTTP/2, against hyper's client.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use nexus_guest::{Body, BodyError, BodyWriter, pipe};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::super::ServerConfig;
use super::super::testing::{Harness, SOON, read_all, with_server};

/// A request's body, fed by a pipe.
struct Sent(Body);

impl http_body::Body for Sent {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.0 {
            Body::Stream(source) => {
                source.poll_chunk(cx).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
            }
            _ => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.0, Body::Empty)
    }
}

#[derive(Clone)]
struct OnThisThread;

impl<F: Future + 'static> hyper::rt::Executor<F> for OnThisThread {
    fn execute(&self, task: F) {
        tokio::task::spawn_local(async {
            task.await;
        });
    }
}

async fn connect(harness: &Harness) -> SendRequest<Sent> {
    let stream = TcpStream::connect(harness.address).await.unwrap();
    let (client, connection) = handshake(OnThisThread, TokioIo::new(stream)).await.unwrap();
    tokio::task::spawn_local(async {
        let _ = connection.await;
    });
    client
}

fn request(method: &str, path: &str, fields: &[(&str, &str)], body: Body) -> Request<Sent> {
    let mut request = Request::builder().method(method).uri(format!("http://test{path}"));
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(Sent(body)).unwrap()
}

async fn get(client: &mut SendRequest<Sent>, path: &str) -> Response<Incoming> {
    client.send_request(request("GET", path, &[], Body::Empty)).await.unwrap()
}

async fn text(response: Response<Incoming>) -> String {
    String::from_utf8(response.collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

fn upload(length: Option<u64>) -> (BodyWriter, Body) {
    pipe(64 * 1024, length)
}

#[test]
fn streams_are_served_side_by_side() {
    with_server(ServerConfig::default(), async |harness| {
        let mut client = connect(harness).await;
        let mut other = client.clone();
        let held = tokio::task::spawn_local(async move { get(&mut other, "/hold").await.status() });
        harness.service.until(|service| !service.held.borrow().is_empty()).await;
        let response = get(&mut client, "/hello").await;
        assert_eq!(response.status(), StatusCode::OK);
        for field in ["content-length", "x-request-id", "date"] {
            assert!(response.headers().contains_key(field), "{field}");
        }
        assert_eq!(text(response).await, "hello");
        let outcome = harness.service.outcome().await;
        assert_eq!((outcome.status, outcome.bytes_sent, outcome.complete), (Some(200), 5, true));
        let (_, responder) = harness.service.held.borrow_mut().pop().unwrap();
        responder.send(Ok(nexus_guest::Reply { status: 201, ..Default::default() }));
        assert_eq!(held.await.unwrap(), StatusCode::CREATED);
        assert_eq!(get(&mut client, "/fail").await.status(), StatusCode::INTERNAL_SERVER_ERROR);
    });
}

#[test]
fn bodies_stream_in_both_directions() {
    with_server(ServerConfig::default(), async |harness| {
        let mut client = connect(harness).await;
        let (writer, body) = upload(None);
        let mut response = client.send_request(request("POST", "/echo", &[], body)).await.unwrap();
        for word in ["abc", "def"] {
            writer.write(word.into());
            assert_eq!(response.frame().await.unwrap().unwrap().into_data().unwrap(), word);
        }
        tokio::task::spawn_local(async move {
            for _ in 0..100 {
                writer.room().await;
                writer.write(vec![b'x'; 50_000].into());
            }
            writer.finish();
        });
        assert_eq!(text(response).await.len(), 5_000_000);
        let head = client.send_request(request("HEAD", "/hello", &[], Body::Empty)).await.unwrap();
        assert_eq!(head.headers()["content-length"], "5");
        assert_eq!(text(get(&mut client, "/large").await).await.len(), 20 << 20);
    });
}

#[test]
fn a_body_over_the_limit_gets_413() {
    let config = ServerConfig { max_body: 1000, ..ServerConfig::default() };
    with_server(config, async |harness| {
        let mut client = connect(harness).await;
        let (_writer, body) = upload(None);
        let declared = request("POST", "/count", &[("content-length", "1001")], body);
        let status = client.send_request(declared).await.unwrap().status();
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(harness.service.refusals.borrow().len(), 1);
        let (writer, body) = upload(None);
        writer.write(vec![b'x'; 1001].into());
        let status = client.send_request(request("POST", "/count", &[], body)).await.unwrap().status();
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(harness.service.bodies.borrow()[0], Err(BodyError::TooLarge { limit: 1000 }));
        assert!(!harness.service.outcome().await.complete);
        assert_eq!(text(get(&mut client, "/hello").await).await, "hello");
    });
}

#[test]
fn a_body_that_stops_coming_gets_408() {
    let config = ServerConfig { body_timeout: SOON, ..ServerConfig::default() };
    with_server(config, async |harness| {
        let mut client = connect(harness).await;
        let (_writer, body) = upload(None);
        let status = client.send_request(request("POST", "/count", &[], body)).await.unwrap().status();
        assert_eq!(status, StatusCode::REQUEST_TIMEOUT);
        assert_eq!(harness.service.bodies.borrow()[0], Err(BodyError::TimedOut));
    });
}

#[test]
fn a_head_over_the_limit_gets_431() {
    let config = ServerConfig { max_head: 4096, ..ServerConfig::default() };
    with_server(config, async |harness| {
        let mut client = connect(harness).await;
        let long = "x".repeat(5000);
        let response = client.send_request(request("GET", "/hello", &[("x", &long)], Body::Empty)).await;
        assert_eq!(response.unwrap().status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        assert_eq!(text(get(&mut client, "/hello").await).await, "hello");
    });
}

#[test]
fn a_stream_that_is_reset_ends_its_call() {
    with_server(ServerConfig::default(), async |harness| {
        let mut client = connect(harness).await;
        let (writer, body) = upload(None);
        writer.write("part".into());
        let mut other = client.clone();
        let asking =
            tokio::task::spawn_local(
                async move { other.send_request(request("POST", "/hold", &[], body)).await },
            );
        harness.service.until(|service| !service.held.borrow().is_empty()).await;
        asking.abort();
        let (held, _responder) = harness.service.held.borrow_mut().pop().unwrap();
        assert_eq!(harness.service.outcome().await.status, None);
        assert_eq!(read_all(held.body).await, Err(BodyError::Disconnected));

        let response = get(&mut client, "/stream").await;
        drop(response);
        let outcome = harness.service.outcome().await;
        assert_eq!((outcome.status, outcome.complete), (Some(200), false));
    });
}

#[test]
fn a_reply_that_breaks_off_resets_its_stream() {
    with_server(ServerConfig::default(), async |harness| {
        let mut client = connect(harness).await;
        let mut response = get(&mut client, "/stream").await;
        let (writer, _responder) = harness.service.streams.borrow_mut().pop().unwrap();
        writer.write("part".into());
        assert_eq!(response.frame().await.unwrap().unwrap().into_data().unwrap(), "part");
        drop(writer);
        assert!(response.frame().await.unwrap().is_err());
        assert!(!harness.service.outcome().await.complete);
        assert_eq!(text(get(&mut client, "/hello").await).await, "hello");
    });
}

#[test]
fn a_client_that_does_not_read_is_closed_after_a_while() {
    let config = ServerConfig { write_timeout: SOON, ..ServerConfig::default() };
    with_server(config, async |harness| {
        let mut client = connect(harness).await;
        let response = get(&mut client, "/endless").await;
        let outcome = harness.service.outcome().await;
        assert!(!outcome.complete && harness.service.given.get() < 16 << 20);
        assert!(response.collect().await.is_err());
    });
}

#[test]
fn a_guest_that_gives_nothing_of_its_response_is_given_up_after_a_while() {
    let config = ServerConfig { body_timeout: 10 * SOON, ..ServerConfig::default() };
    with_server(config, async |harness| {
        let mut client = connect(harness).await;
        let mut response = get(&mut client, "/stream").await;
        let (writer, _responder) = harness.service.streams.borrow_mut().pop().unwrap();
        for _ in 0..4 {
            tokio::time::sleep(3 * SOON).await;
            writer.write("part".into());
            assert_eq!(response.frame().await.unwrap().unwrap().into_data().unwrap(), "part");
        }
        assert!(response.frame().await.unwrap().is_err());
        let outcome = harness.service.outcome().await;
        assert!(outcome.stalled && !outcome.complete, "{outcome:?}");
        // Its client sends all the while.
        let (upload, body) = upload(None);
        let asked = request("POST", "/stream-then-count", &[], body);
        let response = client.send_request(asked).await.unwrap();
        for _ in 0..6 {
            tokio::time::sleep(3 * SOON).await;
            upload.write("x".into());
        }
        upload.finish();
        assert_eq!(text(response).await, "6");
    });
}

#[test]
fn a_refusal_names_its_limit_and_its_id() {
    let config = ServerConfig { max_body: 1000, max_head: 2048, max_url: 100, ..ServerConfig::default() };
    with_server(config, async |harness| {
        let mut client = connect(harness).await;
        let long = "x".repeat(2000);
        for (path, field, status, limit) in [
            ("/hello", ("content-length", "1001"), 413, "(limit: body 1000 B)"),
            (&*format!("/{}", "u".repeat(100)), ("a", "b"), 414, "(limit: url 100 B)"),
            ("/hello", ("x", &*long), 431, "(limit: headers 2 KB)"),
        ] {
            let (_writer, body) = upload(None);
            let fields = [field, ("x-request-id", "mine")];
            let response = client.send_request(request("POST", path, &fields, body)).await.unwrap();
            assert_eq!(response.status().as_u16(), status);
            assert_eq!(response.headers()["x-request-id"], "mine");
            let length: usize = response.headers()["content-length"].to_str().unwrap().parse().unwrap();
            let body = text(response).await;
            assert!(body.ends_with(&format!("{limit}\n")) && body.len() == length, "{body}");
            let refused = harness.service.refusals.borrow_mut().pop().unwrap();
            assert_eq!(
                (refused.id.as_str(), &*refused.line.method, &*refused.line.path),
                ("mine", "POST", path)
            );
        }
        assert_eq!(text(get(&mut client, "/hello").await).await, "hello");
    });
}

#[test]
fn the_preface_may_come_in_pieces_and_a_silent_peer_is_closed() {
    let config =
        ServerConfig { first_byte_timeout: 10 * SOON, linger_timeout: SOON, ..ServerConfig::default() };
    with_server(config, async |harness| {
        let mut stream = TcpStream::connect(harness.address).await.unwrap();
        for piece in ["P", "RI * HTTP/2.0\r\n", "\r\nSM\r\n\r\n"] {
            stream.write_all(piece.as_bytes()).await.unwrap();
            tokio::time::sleep(SOON / 10).await;
        }
        let mut frames = Vec::new();
        stream.read_to_end(&mut frames).await.unwrap();
        // The first frame is SETTINGS (RFC 9113 section 6.5).
        assert_eq!(frames[3], 4, "{frames:?}");
    });
}

#[test]
fn the_signal_lets_streams_finish_and_then_closes() {
    with_server(ServerConfig::default(), async |harness| {
        let mut client = connect(harness).await;
        let mut other = client.clone();
        let held = tokio::task::spawn_local(async move { get(&mut other, "/hold").await.status() });
        harness.service.until(|service| !service.held.borrow().is_empty()).await;
        harness.shutdown.begin();
        tokio::time::sleep(SOON).await;
        let (_, responder) = harness.service.held.borrow_mut().pop().unwrap();
        responder.send(Ok(nexus_guest::Reply { status: 201, ..Default::default() }));
        assert_eq!(held.await.unwrap(), StatusCode::CREATED);
        harness.service.until(|_| harness.serving.is_finished()).await;
        assert!(client.send_request(request("GET", "/hello", &[], Body::Empty)).await.is_err());
    });
}
