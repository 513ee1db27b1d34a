//! Requests that no guest gets to see.

use super::super::testing::{SOON, get, post, with_server};
use super::super::{Refusal, ServerConfig};

#[test]
fn each_refusal_has_its_status_and_closes_the_connection() {
    let config = ServerConfig { max_body: 1000, ..ServerConfig::default() };
    with_server(config, async |harness| {
        let fields = |count: usize| "X: y\r\n".repeat(count);
        let cases = [
            (400, "GET / HTTP/1.1\r\n\r\n".to_owned()),
            (400, "nonsense\r\n\r\n".to_owned()),
            (400, "\n".to_owned()),
            (400, "\r\n".repeat(9)),
            (400, post("/hello", "Content-Length: 1\r\nTransfer-Encoding: chunked")),
            (400, post("/hello", "Transfer-Encoding: chunked") + "x"),
            (413, post("/hello", "Content-Length: 1001")),
            (413, post("/hello", "Content-Length: 1001\r\nExpect: 100-continue")),
            (413, post("/hello", "Transfer-Encoding: chunked") + "3e9\r\n" + &"x".repeat(1001)),
            // What is declared is enough.
            (413, post("/hello", "Transfer-Encoding: chunked") + "3e9\r\n"),
            (413, post("/hello", "Transfer-Encoding: chunked") + "1\r\nx\r\nffffffffffffffff\r\n"),
            (414, get(&format!("/{}", "a".repeat(16 * 1024)))),
            (417, post("/hello", "Expect: wonders")),
            (431, format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", fields(300))),
            (431, format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(64 * 1024))),
            (501, "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n".to_owned()),
            (501, post("/hello", "Transfer-Encoding: gzip, chunked")),
            (505, "GET / HTTP/3.0\r\nHost: a\r\n\r\n".to_owned()),
        ];
        for (status, request) in cases {
            let answer = harness.ask(&request).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {answer}");
            assert!(answer.contains("connection: close\r\n") && answer.ends_with('\n'), "{answer}");
            assert_eq!(answer.matches("date: ").count(), 1, "{answer}");
            let refused = harness.service.refusals.borrow_mut().pop().unwrap();
            assert_eq!((refused.refusal.status(), refused.complete), (status, true));
            assert!(answer.contains(&format!("x-request-id: {}\r\n", refused.id)), "{answer}");
            let body = answer.split_once("\r\n\r\n").unwrap().1;
            assert_eq!(body, format!("{}\n", refused.refusal));
            assert!(answer.contains(&format!("content-length: {}\r\n", body.len())), "{answer}");
            assert_eq!(refused.bytes, body.len() as u64);
            assert!(
                harness.service.refusals.borrow().is_empty() && harness.service.outcomes.borrow().is_empty()
            );
        }
    });
}

#[test]
fn what_follows_a_refused_request_is_not_served() {
    with_server(ServerConfig::default(), async |harness| {
        let smuggled = post("/hello", "Content-Length: 0\r\nContent-Length: 44") + &get("/hello");
        let answer = harness.ask(&smuggled).await;
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
        assert!(harness.service.outcomes.borrow().is_empty());
    });
}

#[test]
fn a_head_that_does_not_end_in_time_gets_408() {
    let config = ServerConfig { head_timeout: SOON, ..ServerConfig::default() };
    with_server(config, async |harness| {
        let answer = harness.ask("GET / HTTP/1.1\r\nHost:").await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        let refused = harness.service.refusals.borrow_mut().pop().unwrap();
        assert_eq!(refused.refusal, Refusal::HeadTimeout(SOON));
        assert_eq!((&*refused.line.method, &*refused.line.path), ("GET", "/"));
        assert!(refused.duration >= SOON, "{refused:?}");
        // Also on a connection that has served before, and however often a byte comes.
        let mut client = harness.connect().await;
        client.get("/hello").await;
        client.send("GET / HTTP/1.1\r\n").await;
        assert_eq!(client.answer().await.status, 408);
    });
}

#[test]
fn a_silent_client_is_closed_without_a_word() {
    let config = ServerConfig { first_byte_timeout: SOON, idle_timeout: SOON, ..ServerConfig::default() };
    with_server(config, async |harness| {
        assert_eq!(harness.connect().await.rest().await, "");
        let mut client = harness.connect().await;
        client.get("/hello").await;
        assert_eq!(client.rest().await, "");
        assert!(harness.service.refusals.borrow().is_empty());
    });
}
