//! Clients that go away, and clients that do not read.

use std::sync::atomic::Ordering;

use nexus_guest::BodyError;

use super::super::testing::{SOON, get, post, read_all, with_server};
use super::super::{Outcome, ServerConfig};

fn is_gone(outcome: Outcome) -> bool {
    outcome.status.is_none() && !outcome.complete
}

#[test]
fn a_client_that_goes_away_ends_its_call_before_the_reply() {
    with_server(ServerConfig::default(), async |harness| {
        let mut client = harness.connect().await;
        client.send(get("/hold") + &get("/hello")).await;
        harness.service.until(|service| !service.held.borrow().is_empty()).await;
        drop(client);
        assert!(is_gone(harness.service.outcome().await));
    });
}

#[test]
fn a_client_that_goes_away_breaks_its_upload_off() {
    with_server(ServerConfig::default(), async |harness| {
        let mut client = harness.connect().await;
        client.send(post("/hold", "Content-Length: 10") + "abc").await;
        harness.service.until(|service| !service.held.borrow().is_empty()).await;
        let (request, _responder) = harness.service.held.borrow_mut().pop().unwrap();
        drop(client);
        assert_eq!(read_all(request.body).await, Err(BodyError::Disconnected));
        assert!(is_gone(harness.service.outcome().await));
    });
}

#[test]
fn a_client_that_goes_away_ends_a_stream_that_has_nothing_to_say() {
    with_server(ServerConfig::default(), async |harness| {
        let mut client = harness.connect().await;
        client.send(get("/stream")).await;
        client.head().await;
        drop(client);
        let outcome = harness.service.outcome().await;
        assert_eq!((outcome.status, outcome.complete), (Some(200), false));
        let (writer, _responder) = harness.service.streams.borrow_mut().pop().unwrap();
        assert_eq!(writer.state(), nexus_guest::PipeState::Closed);
    });
}

#[test]
fn a_client_that_does_not_read_holds_its_guest_back() {
    with_server(ServerConfig::default(), async |harness| {
        let mut client = harness.connect().await;
        client.send(get("/endless")).await;
        client.head().await;
        let mut before = 0;
        loop {
            tokio::time::sleep(SOON).await;
            let given = harness.service.given.get();
            if given == before {
                break;
            }
            before = given;
            assert!(given < 64 << 20, "{given} bytes were made though nobody reads");
        }
        drop(client);
        assert!(!harness.service.outcome().await.complete);
    });
}

#[test]
fn a_client_that_does_not_read_is_closed_after_a_while() {
    let config = ServerConfig { write_timeout: SOON, ..ServerConfig::default() };
    with_server(config, async |harness| {
        for path in ["/large", "/endless"] {
            let mut client = harness.connect().await;
            client.send(get(path)).await;
            let outcome = harness.service.outcome().await;
            assert_eq!((outcome.status, outcome.complete), (Some(200), false));
            assert!(outcome.bytes_sent > 0);
        }
    });
}

#[test]
fn a_guest_that_gives_nothing_of_its_response_is_given_up_after_a_while() {
    let config = ServerConfig { body_timeout: 10 * SOON, ..ServerConfig::default() };
    with_server(config, async |harness| {
        for version in ["1.1", "1.0"] {
            let mut client = harness.connect().await;
            client.send(format!("GET /stream HTTP/{version}\r\nHost: test\r\n\r\n")).await;
            client.head().await;
            let (writer, _responder) = harness.service.streams.borrow_mut().pop().unwrap();
            // As long as something comes, it may take its time.
            for _ in 0..4 {
                tokio::time::sleep(4 * SOON).await;
                writer.write("part".into());
            }
            let rest = client.rest().await;
            assert!(rest.matches("part").count() == 4 && !rest.ends_with("0\r\n\r\n"), "{rest}");
            let outcome = harness.service.outcome().await;
            assert!(outcome.stalled && !outcome.complete, "{outcome:?}");
            assert_eq!(writer.state(), nexus_guest::PipeState::Closed);
        }
    });
}

#[test]
fn a_guest_may_read_a_long_body_before_it_says_more() {
    let config = ServerConfig { body_timeout: 10 * SOON, ..ServerConfig::default() };
    with_server(config, async |harness| {
        let mut client = harness.connect().await;
        client.send(post("/stream-then-count", "Content-Length: 10")).await;
        client.head().await;
        for _ in 0..10 {
            tokio::time::sleep(2 * SOON).await;
            client.send("x").await;
        }
        assert_eq!(client.until("10\r\n").await, "2\r\n10\r\n");
        assert_eq!(client.until("\r\n\r\n").await, "0\r\n\r\n");
        assert!(!harness.service.outcome().await.stalled);
    });
}

#[test]
fn a_request_that_panics_costs_its_own_connection_only() {
    with_server(ServerConfig::default(), async |harness| {
        let mut other = harness.connect().await;
        other.get("/hello").await;
        assert_eq!(harness.ask(&get("/panic")).await, "");
        assert_eq!(other.get("/hello").await.text(), "hello");
    });
}

#[test]
fn connections_beyond_the_limit_wait_for_their_turn() {
    let config = ServerConfig { max_connections: 1, ..ServerConfig::default() };
    with_server(config, async |harness| {
        let mut first = harness.connect().await;
        first.get("/hello").await;
        let mut second = harness.connect().await;
        second.send(get("/hello")).await;
        tokio::time::sleep(SOON).await;
        assert_eq!(harness.open.load(Ordering::Relaxed), 1);
        drop(first);
        assert_eq!(second.answer().await.text(), "hello");
    });
}
