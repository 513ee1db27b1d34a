//! Requests in, responses out, on connections that go on.

use nexus_guest::ClientAddress;
use std::net::{IpAddr, Ipv4Addr};
use tokio::io::AsyncWriteExt;

use super::super::testing::{get, post, with_server};
use super::super::{ServerConfig, Trust};

#[test]
fn a_connection_serves_one_request_after_the_other() {
    with_server(ServerConfig::default(), async |harness| {
        let mut client = harness.connect().await;
        for _ in 0..3 {
            let answer = client.get("/hello").await;
            assert_eq!((answer.status, answer.text()), (200, "hello"));
            assert_eq!(answer.field("content-length"), Some("5"));
            assert_eq!(answer.field("connection"), None);
            assert!(answer.field("date").is_some() && answer.field("x-request-id").is_some());
            let outcome = harness.service.outcome().await;
            assert_eq!((outcome.status, outcome.bytes_sent, outcome.complete), (Some(200), 5, true));
        }
        assert_eq!(client.get("/empty").await.status, 204);
    });
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    with_server(ServerConfig::default(), async |harness| {
        let mut client = harness.connect().await;
        let body = post("/count", "Content-Length: 3") + "abc";
        client.send(get("/hello") + &body + &get("/nowhere") + "\r\n" + &get("/hello")).await;
        assert_eq!(client.answer().await.text(), "hello");
        assert_eq!(client.answer().await.text(), "3");
        assert_eq!(client.answer().await.status, 404);
        assert_eq!(client.answer().await.text(), "hello");
    });
}

#[test]
fn a_request_may_come_byte_by_byte() {
    with_server(ServerConfig::default(), async |harness| {
        let mut client = harness.connect().await;
        client.stream.set_nodelay(true).unwrap();
        let request = post("/count", "Transfer-Encoding: chunked") + "3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n";
        for byte in (request + &get("/hello")).bytes() {
            client.send([byte]).await;
            tokio::task::yield_now().await;
        }
        assert_eq!(client.answer().await.text(), "5");
        assert_eq!(client.answer().await.text(), "hello");
    });
}

#[test]
fn head_gets_the_fields_of_get_and_no_body() {
    with_server(ServerConfig::default(), async |harness| {
        let mut client = harness.connect().await;
        client.send("HEAD /hello HTTP/1.1\r\nHost: test\r\n\r\n").await;
        client.send("HEAD /endless HTTP/1.1\r\nHost: test\r\n\r\n").await;
        let answer = client.head().await;
        assert_eq!((answer.status, answer.field("content-length")), (200, Some("5")));
        assert_eq!(client.head().await.field("transfer-encoding"), Some("chunked"));
        assert_eq!(client.get("/hello").await.text(), "hello");
    });
}

#[test]
fn http_1_0_is_served_with_and_without_keep_alive() {
    with_server(ServerConfig::default(), async |harness| {
        let closed = harness.ask("GET /hello HTTP/1.0\r\n\r\n").await;
        assert!(closed.contains("connection: close\r\n") && closed.ends_with("\r\n\r\nhello"), "{closed}");
        let mut client = harness.connect().await;
        for _ in 0..2 {
            client.send("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await;
            assert_eq!(client.answer().await.field("connection"), Some("keep-alive"));
        }
        client.send("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await;
        let head = client.head().await;
        assert_eq!((head.field("connection"), head.field("transfer-encoding")), (Some("close"), None));
        let (writer, _responder) = harness.service.streams.borrow_mut().remove(0);
        writer.write("to the end".into());
        writer.finish();
        assert_eq!(client.rest().await, "to the end");
    });
}

#[test]
fn connection_close_is_respected() {
    with_server(ServerConfig::default(), async |harness| {
        let answer = harness.ask("GET /hello HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").await;
        assert!(answer.contains("connection: close\r\n") && answer.ends_with("hello"), "{answer}");
    });
}

#[test]
fn a_large_body_arrives_whole() {
    with_server(ServerConfig::default(), async |harness| {
        let mut client = harness.connect().await;
        assert_eq!(client.get("/large").await.body, vec![b'x'; 20 << 20]);
        assert_eq!(client.get("/hello").await.text(), "hello");
    });
}

#[test]
fn a_streams_chunks_are_sent_as_they_come() {
    with_server(ServerConfig::default(), async |harness| {
        let mut client = harness.connect().await;
        client.send(get("/stream")).await;
        assert_eq!(client.head().await.field("transfer-encoding"), Some("chunked"));
        let (writer, _responder) = harness.service.streams.borrow_mut().remove(0);
        writer.write("one".into());
        assert_eq!(client.until("one\r\n").await, "3\r\none\r\n");
        writer.write("two".into());
        writer.write(vec![b'x'; 20_000].into());
        writer.write("three".into());
        assert_eq!(client.until("three\r\n").await.len(), 8 + 4 + 2 + 20_000 + 2 + 10);
        writer.finish();
        assert_eq!(client.until("\r\n\r\n").await, "0\r\n\r\n");
        assert_eq!(client.get("/hello").await.text(), "hello");
        assert_eq!(harness.service.outcome().await.bytes_sent, 20_011);
    });
}

#[test]
fn a_stream_that_breaks_off_is_seen_to_be_broken() {
    with_server(ServerConfig::default(), async |harness| {
        let mut client = harness.connect().await;
        client.send(get("/stream")).await;
        let (writer, _responder) = loop {
            if let Some(stream) = harness.service.streams.borrow_mut().pop() {
                break stream;
            }
            tokio::task::yield_now().await;
        };
        writer.write("part".into());
        drop(writer);
        let all = client.rest().await;
        assert!(all.starts_with("HTTP/1.1 200") && all.ends_with("\r\n\r\n4\r\npart\r\n"), "{all}");
        let outcome = harness.service.outcome().await;
        assert_eq!((outcome.status, outcome.complete), (Some(200), false));

        // Where the end is told by closing, only a reset tells a broken stream.
        let mut client = harness.connect().await;
        client.send("GET /stream HTTP/1.0\r\n\r\n").await;
        client.head().await;
        drop(harness.service.streams.borrow_mut().pop());
        let error = tokio::io::AsyncReadExt::read(&mut client.stream, &mut [0; 10]).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_failure_is_short_and_keeps_the_connection() {
    with_server(ServerConfig::default(), async |harness| {
        let mut client = harness.connect().await;
        let answer = client.get("/fail").await;
        assert_eq!((answer.status, answer.text()), (500, "the app failed to handle this request\n"));
        assert_eq!(answer.field("content-type"), Some("text/plain;charset=utf-8"));
        assert!(answer.field("x-request-id").is_some());
        assert_eq!(client.get("/drop").await.status, 503);
        assert_eq!(client.get("/hello").await.text(), "hello");
    });
}

#[test]
fn a_request_keeps_its_id_and_its_peers_address() {
    with_server(ServerConfig::default(), async |harness| {
        let mut client = harness.connect().await;
        let forged = "X-Request-Id: mine\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https";
        client.send(format!("GET /info HTTP/1.1\r\nHost: test\r\n{forged}\r\n\r\n")).await;
        let answer = client.answer().await;
        assert_eq!(answer.field("x-request-id"), Some("mine"));
        let port = client.stream.local_addr().unwrap().port();
        assert!(answer.text().contains(&format!("client: Ip(127.0.0.1, Some({port}))")), "{}", answer.text());
        assert!(answer.text().contains("url: \"http://test/info\""), "{}", answer.text());
    });
}

#[test]
fn a_trusted_proxys_word_about_its_client_counts() {
    let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let trust = Trust::of(move |address| matches!(address, ClientAddress::Ip(ip, _) if ip == local));
    with_server(ServerConfig { trust, ..ServerConfig::default() }, async |harness| {
        let mut client = harness.connect().await;
        let fields = "X-Forwarded-For: 6.6.6.6, 1.2.3.4, 127.0.0.1\r\nX-Forwarded-Proto: https";
        client.send(format!("GET /info HTTP/1.1\r\nHost: test\r\n{fields}\r\n\r\n")).await;
        let text = client.answer().await.text().to_owned();
        assert!(
            text.contains("client: Ip(1.2.3.4, None)") && text.contains("url: \"https://test/info\""),
            "{text}"
        );
        client.stream.shutdown().await.unwrap();
    });
}
