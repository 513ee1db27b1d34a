//! Request bodies on their way to the guest.

use nexus_guest::BodyError;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::super::ServerConfig;
use super::super::testing::{SOON, get, post, read_all, with_server};

#[test]
fn bodies_stream_in_both_directions() {
    with_server(ServerConfig::default(), async |harness| {
        let mut client = harness.connect().await;
        client.send(post("/echo", "Transfer-Encoding: chunked")).await;
        assert_eq!(client.head().await.field("transfer-encoding"), Some("chunked"));
        for word in ["abc", "def"] {
            client.send(format!("3\r\n{word}\r\n")).await;
            assert_eq!(client.until(&format!("{word}\r\n")).await, format!("3\r\n{word}\r\n"));
        }
        client.send("0\r\n\r\n").await;
        assert_eq!(client.until("\r\n\r\n").await, "0\r\n\r\n");

        client.send(post("/echo", "Content-Length: 6")).await;
        assert_eq!(client.head().await.field("content-length"), Some("6"));
        client.send("abc").await;
        assert_eq!(client.until("abc").await, "abc");
        client.send("def").await;
        assert_eq!(client.until("def").await, "def");
        assert_eq!(client.get("/hello").await.text(), "hello");
    });
}

#[test]
fn a_client_that_expects_it_is_told_to_continue() {
    with_server(ServerConfig::default(), async |harness| {
        let mut client = harness.connect().await;
        client.send(post("/count", "Content-Length: 3\r\nExpect: 100-Continue")).await;
        assert_eq!(client.until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
        client.send("abc").await;
        assert_eq!(client.answer().await.text(), "3");
        // Nobody wants this one: the answer comes at once, and the body is not asked for.
        client.send(post("/hello", "Content-Length: 3\r\nExpect: 100-continue")).await;
        let answer = client.answer().await;
        assert_eq!((answer.text(), answer.field("connection")), ("hello", Some("close")));
        assert_eq!(client.rest().await, "");
    });
}

#[test]
fn a_guest_that_does_not_read_holds_its_client_back() {
    with_server(ServerConfig::default(), async |harness| {
        let mut client = harness.connect().await;
        const LENGTH: usize = 64 << 20;
        client.send(post("/hold", &format!("Content-Length: {LENGTH}"))).await;
        let piece = vec![b'x'; 64 * 1024];
        let mut sent = 0;
        while sent < LENGTH {
            match timeout(SOON, client.stream.write(&piece[..piece.len().min(LENGTH - sent)])).await {
                Ok(count) => sent += count.unwrap(),
                Err(_) => break,
            }
        }
        // What the kernel buffers on both sides is not ours to choose.
        assert!(sent < LENGTH / 2, "{sent} bytes were taken though nobody read one");
        let (request, responder) = harness.service.held.borrow_mut().pop().unwrap();
        let reading = tokio::task::spawn_local(read_all(request.body));
        while sent < LENGTH {
            sent += client.stream.write(&piece[..piece.len().min(LENGTH - sent)]).await.unwrap();
        }
        assert_eq!(reading.await.unwrap().unwrap().len(), LENGTH);
        responder.send(Ok(nexus_guest::Reply { status: 201, ..Default::default() }));
        assert_eq!(client.answer().await.status, 201);
    });
}

#[test]
fn a_body_that_grows_over_the_limit_gets_413_and_its_reader_an_error() {
    let config = ServerConfig { max_body: 1000, ..ServerConfig::default() };
    with_server(config, async |harness| {
        let mut client = harness.connect().await;
        client.send(post("/count", "Transfer-Encoding: chunked") + "2\r\nab\r\n").await;
        harness.service.until(|service| service.calls.get() == 1).await;
        client.send(format!("3e8\r\n{}\r\n", "x".repeat(1000))).await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.field("connection")), (413, Some("close")));
        assert_eq!(client.rest().await, "");
        assert_eq!(harness.service.bodies.borrow()[0], Err(BodyError::TooLarge { limit: 1000 }));
        assert!(harness.service.refusals.borrow().is_empty(), "its call has told of it");
    });
}

#[test]
fn a_body_that_turns_out_malformed_gets_400_and_its_reader_an_error() {
    with_server(ServerConfig::default(), async |harness| {
        let mut client = harness.connect().await;
        client.send(post("/count", "Transfer-Encoding: chunked")).await;
        harness.service.until(|service| service.calls.get() == 1).await;
        client.send("2\r\nabc\r\n").await;
        assert_eq!(client.answer().await.status, 400);
        harness.service.until(|service| !service.bodies.borrow().is_empty()).await;
        assert!(matches!(harness.service.bodies.borrow()[0], Err(BodyError::Malformed(_))));
        let outcome = harness.service.outcome().await;
        assert_eq!((outcome.status, outcome.complete), (Some(400), false));
    });
}

#[test]
fn nothing_after_a_malformed_body_is_taken_for_a_request() {
    with_server(ServerConfig::default(), async |harness| {
        let mut client = harness.connect().await;
        client.send(post("/echo", "Transfer-Encoding: chunked")).await;
        client.head().await;
        client.send("x\r\n0\r\n\r\n".to_owned() + &get("/hello")).await;
        assert_eq!(client.rest().await, "");
        assert_eq!(harness.service.outcomes.borrow().len(), 1);
    });
}

#[test]
fn a_body_that_stops_coming_gets_408_and_its_reader_an_error() {
    let config = ServerConfig { body_timeout: SOON, ..ServerConfig::default() };
    with_server(config, async |harness| {
        let mut client = harness.connect().await;
        client.send(post("/count", "Content-Length: 3") + "a").await;
        assert_eq!(client.answer().await.status, 408);
        harness.service.until(|service| !service.bodies.borrow().is_empty()).await;
        assert_eq!(harness.service.bodies.borrow()[0], Err(BodyError::TimedOut));
    });
}

#[test]
fn a_short_body_that_nobody_reads_is_read_over() {
    with_server(ServerConfig::default(), async |harness| {
        let mut client = harness.connect().await;
        client.send(post("/hello", "Content-Length: 1000") + "a").await;
        let answer = client.answer().await;
        assert_eq!((answer.text(), answer.field("connection")), ("hello", None));
        client.send("a".repeat(999) + &get("/hello")).await;
        assert_eq!(client.answer().await.text(), "hello");
    });
}

#[test]
fn a_long_body_that_nobody_reads_ends_the_connection_after_the_response() {
    let config = ServerConfig { linger_timeout: SOON, ..ServerConfig::default() };
    with_server(config, async |harness| {
        let mut client = harness.connect().await;
        client.send(post("/hello", "Content-Length: 1000000") + &"a".repeat(500_000)).await;
        let answer = client.answer().await;
        assert_eq!((answer.text(), answer.field("connection")), ("hello", Some("close")));
        assert_eq!(client.rest().await, "");
        // Of chunks, nobody can tell how many are to come.
        let mut client = harness.connect().await;
        client.send(post("/hello", "Transfer-Encoding: chunked")).await;
        assert_eq!(client.answer().await.text(), "hello");
        client.send(format!("186a0\r\n{}\r\n", "a".repeat(100_000))).await;
        assert_eq!(client.rest().await, "");
    });
}

#[test]
fn a_guest_may_read_on_after_its_response() {
    with_server(ServerConfig::default(), async |harness| {
        let mut client = harness.connect().await;
        client.send(post("/later", "Content-Length: 300000")).await;
        assert_eq!(client.answer().await.text(), "early");
        client.send("a".repeat(300_000)).await;
        assert_eq!(client.get("/hello").await.text(), "hello");
        assert_eq!(harness.service.bodies.borrow()[0], Ok(300_000));
    });
}
