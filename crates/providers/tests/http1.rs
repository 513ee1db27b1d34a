//! HTTP/1.1: what is sent, what comes back, and how it fails. Bodies of requests are in uploads.rs.

#![allow(clippy::unwrap_used)]

mod common;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use common::*;
use nexus_core::Limit;
use nexus_guest::{Body, BodyError, Deadlines, HttpError};
use tokio::io::AsyncWriteExt;
use tokio::time::sleep;

const HELLO: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx-a: 1\r\n\r\nhello";

#[test]
fn a_get_is_answered() {
    run(async {
        let heads = Rc::new(std::cell::RefCell::new(Vec::new()));
        let seen = heads.clone();
        let peer = peer(move |_, mut stream| {
            let seen = seen.clone();
            async move {
                let head = head(&mut stream).await.unwrap();
                seen.borrow_mut().push(head);
                say(&mut stream, HELLO).await;
            }
        })
        .await;
        let client = client(&[]);
        let response = client.get(&peer.url("/a?b")).await.unwrap();
        assert_eq!((response.status, &*response.reason), (200, &b"OK"[..]));
        assert_eq!(response.headers.get("x-a"), Some(&b"1"[..]));
        assert_eq!(response.body.exact_length(), Some(5));
        assert_eq!(read(response.body).await, ("hello".to_owned(), Ok(())));
        let port = peer.port;
        assert_eq!(heads.borrow()[0], format!("GET /a?b HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n\r\n"));
        assert_eq!(*client.told.sent.borrow(), [None]);
    });
}

#[test]
fn localhost_is_this_machine_without_a_look_up() {
    run(async {
        let peer = answering(HELLO).await;
        let url = format!("http://localhost:{}/", peer.port);
        assert_eq!(client(&[]).text(&url).await, "hello");
    });
}

#[test]
fn connections_are_used_again() {
    run(async {
        let peer = answering(HELLO).await;
        let client = client(&[]);
        for _ in 0..5 {
            assert_eq!(client.text(&peer.url("/")).await, "hello");
        }
        assert_eq!(peer.connections.get(), 1);
        // A body that nobody reads is read ahead while it is small.
        let unread = client.get(&peer.url("/")).await.unwrap();
        settle().await;
        assert_eq!(client.text(&peer.url("/")).await, "hello");
        assert_eq!(peer.connections.get(), 1);
        assert_eq!(read(unread.body).await.0, "hello");
    });
}

#[test]
fn bodiless_responses_give_their_connection_back() {
    run(async {
        let peer = peer(|_, mut stream| async move {
            while let Some(head) = head(&mut stream).await {
                let answer = match head.split(' ').next() {
                    Some("HEAD") => "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n",
                    Some("PUT") => "HTTP/1.1 204 No Content\r\n\r\n",
                    _ => "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n",
                };
                say(&mut stream, answer).await;
            }
        })
        .await;
        let client = client(&[]);
        for method in ["HEAD", "PUT", "GET"] {
            let response = client.send(request(method, &peer.url("/"), Body::Empty)).await.unwrap();
            assert!(matches!(response.body, Body::Empty), "{method}");
            settle().await;
        }
        assert_eq!(peer.connections.get(), 1);
    });
}

#[test]
fn a_connection_that_the_peer_closed_while_idle_is_not_used() {
    run(async {
        let peer = closing(HELLO).await;
        let client = client(&[]);
        for number in 1..4 {
            // Not even for what could not be sent twice.
            let request = request("POST", &peer.url("/"), Body::Empty);
            assert_eq!(read(client.send(request).await.unwrap().body).await.0, "hello");
            settle().await;
            assert_eq!(peer.connections.get(), number);
        }
    });
}

#[test]
fn a_request_whose_idle_connection_fails_is_sent_once_more_where_that_is_safe() {
    run(async {
        // The first connection answers once, and closes when it sees a second request.
        let peer = peer(|number, mut stream| async move {
            head(&mut stream).await;
            say(&mut stream, HELLO).await;
            if head(&mut stream).await.is_some() && number != 0 {
                say(&mut stream, HELLO).await;
            }
        })
        .await;
        let first = client(&[]);
        first.text(&peer.url("/")).await;
        settle().await;
        assert_eq!(first.text(&peer.url("/")).await, "hello");
        assert_eq!(peer.connections.get(), 2);
    });
    run(async {
        let peer = peer(|_, mut stream| async move {
            head(&mut stream).await;
            say(&mut stream, HELLO).await;
            head(&mut stream).await;
        })
        .await;
        let client = client(&[]);
        client.text(&peer.url("/")).await;
        settle().await;
        let error = client.send(request("POST", &peer.url("/"), Body::Empty)).await.unwrap_err();
        assert_eq!(error, HttpError::Closed);
        assert_eq!(peer.connections.get(), 1);
    });
}

#[test]
fn broken_bodies_are_errors() {
    run(async {
        let client = client(&[]);
        for (answer, came, error) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello", "hello", BodyError::Disconnected),
            ("HTTP/1.1 200 OK\r\ncontent-length: 999999\r\n\r\nhello", "hello", BodyError::Disconnected),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n9\r\nab",
                "helloab",
                BodyError::Disconnected,
            ),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
                "hello",
                BodyError::Malformed("a chunk's length or its end is wrong"),
            ),
        ] {
            let peer = closing(answer).await;
            let response = client.get(&peer.url("/")).await.unwrap();
            assert_eq!(read(response.body).await, (came.to_owned(), Err(error)), "{answer:?}");
        }
        let peer = closing("HTTP/1.1 200 OK\r\n\r\nuntil the end").await;
        assert_eq!(client.text(&peer.url("/")).await, "until the end");
    });
}

#[test]
fn what_is_no_http_is_a_protocol_error() {
    run(async {
        let client = client(&[]);
        for answer in [
            "SSH-2.0-OpenSSH\r\n\r\n",
            "HTTP/1.1 abc\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\na b: c\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
            "HTTP/1.1 777 What\r\ncontent-length: 0\r\n\r\n",
        ] {
            let peer = closing(answer).await;
            let error = client.get(&peer.url("/")).await.unwrap_err();
            assert!(matches!(error, HttpError::Protocol(_)), "{answer:?}: {error:?}");
        }
        let peer = closing("").await;
        assert_eq!(client.get(&peer.url("/")).await.unwrap_err(), HttpError::Closed);
    });
}

#[test]
fn interim_responses_are_skipped() {
    run(async {
        let peer = answering(format!("HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n{HELLO}")).await;
        assert_eq!(client(&[]).text(&peer.url("/")).await, "hello");
    });
}

#[test]
fn a_folded_field_is_one_line() {
    run(async {
        let peer =
            answering("HTTP/1.1 200 OK\r\nx: a\r\n b\r\n\tc\r\nContent-Length:\r\n 5\r\n\r\nhello").await;
        let response = client(&[]).get(&peer.url("/")).await.unwrap();
        let value = String::from_utf8(response.headers.get("x").unwrap().to_vec()).unwrap();
        assert_eq!(value.split_whitespace().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert!(!value.contains(['\r', '\n']), "{value:?}");
        assert_eq!(read(response.body).await, ("hello".to_owned(), Ok(())));
    });
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    run(async {
        let client = client(&[(Limit::OutboundHeaders, 2000)]);
        let limit = HttpError::Limit(Limit::OutboundHeaders, 2000);
        let head =
            |length| format!("HTTP/1.1 200 OK\r\nx: {}\r\ncontent-length: 0\r\n\r\n", "a".repeat(length));
        let peer = answering(head(1800)).await;
        assert_eq!(client.get(&peer.url("/")).await.unwrap().status, 200);
        let peer = answering(head(2000)).await;
        assert_eq!(client.get(&peer.url("/")).await.unwrap_err(), limit);
        let peer = answering(format!("HTTP/1.1 200 OK\r\nx: {}", "a".repeat(100_000))).await;
        assert_eq!(client.get(&peer.url("/")).await.unwrap_err(), limit);
    });
}

#[test]
fn a_body_over_the_limit_fails() {
    run(async {
        let client = client(&[(Limit::OutboundBody, 4)]);
        let error = Err(BodyError::TooLarge { limit: 4 });
        let peer = answering(HELLO).await;
        assert_eq!(
            read(client.get(&peer.url("/")).await.unwrap().body).await,
            (String::new(), error.clone())
        );
        let peer = closing("HTTP/1.1 200 OK\r\n\r\nhello").await;
        assert_eq!(read(client.get(&peer.url("/")).await.unwrap().body).await.1, error);
    });
}

#[test]
fn a_slow_peer_is_given_up() {
    run(async {
        let peer = peer(|_, mut stream| async move {
            let head = head(&mut stream).await.unwrap();
            if head.starts_with("GET /body") {
                say(&mut stream, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n").await;
            }
            closed(&mut stream).await;
        })
        .await;
        let client = client(&[(Limit::FirstByte, 150), (Limit::Idle, 150)]);
        let error = client.get(&peer.url("/")).await.unwrap_err();
        assert_eq!(error, HttpError::Limit(Limit::FirstByte, 150));
        let mut own = request("GET", &peer.url("/"), Body::Empty);
        own.deadlines = Deadlines { first_byte: Some(Duration::from_millis(20)), ..Deadlines::default() };
        assert_eq!(client.send(own).await.unwrap_err(), HttpError::Deadline("first byte"));
        let response = client.get(&peer.url("/body")).await.unwrap();
        assert_eq!(read(response.body).await, ("a".to_owned(), Err(BodyError::TimedOut)));
        assert_eq!(client.told.sent.borrow().len(), 3);
    });
}

#[test]
fn a_response_that_breaks_off_anywhere_ends() {
    let whole = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";
    run(async move {
        let client = client(&[]);
        for answer in [whole, chunked] {
            for cut in 0..=answer.len() {
                for reset in [false, true] {
                    let peer = peer(move |_, mut stream| async move {
                        head(&mut stream).await;
                        say(&mut stream, &answer[..cut]).await;
                        if reset {
                            let _ = stream.set_zero_linger();
                        }
                    })
                    .await;
                    let result = client.get(&peer.url("/")).await;
                    match result {
                        Ok(response) => {
                            let (text, end) = read(response.body).await;
                            assert!("hello".starts_with(&text), "{cut}");
                            assert!(end.is_err() || text == "hello", "{cut}");
                            assert!(cut < answer.len() || reset || end.is_ok(), "{cut}");
                        }
                        Err(error) => {
                            assert_eq!(error, HttpError::Closed, "{cut}");
                            assert!(cut < answer.len() || reset, "{cut}");
                        }
                    }
                }
            }
        }
    });
}

#[test]
fn whoever_drops_a_request_or_a_body_closes_the_connection() {
    run(async {
        let gone = Rc::new(Cell::new(0));
        let counted = gone.clone();
        let peer = peer(move |_, mut stream| {
            let counted = counted.clone();
            async move {
                let head = head(&mut stream).await.unwrap();
                if head.starts_with("GET /body") {
                    say(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\nhello").await;
                }
                closed(&mut stream).await;
                counted.set(counted.get() + 1);
            }
        })
        .await;
        let client = client(&[]);
        let url = peer.url("/");
        tokio::select! {
            _ = client.get(&url) => panic!("there is no response"),
            () = sleep(Duration::from_millis(50)) => {}
        }
        settle().await;
        assert_eq!(gone.get(), 1);
        let mut response = client.get(&peer.url("/body")).await.unwrap();
        assert_eq!(chunk(&mut response.body).await.unwrap().unwrap(), "hello");
        drop(response);
        settle().await;
        assert_eq!(gone.get(), 2);
    });
}

#[test]
fn dropping_the_client_closes_what_is_idle_and_leaves_what_is_read() {
    run(async {
        let gone = Rc::new(Cell::new(0));
        let counted = gone.clone();
        let peer = peer(move |_, mut stream| {
            let counted = counted.clone();
            async move {
                while let Some(head) = head(&mut stream).await {
                    let slow = head.starts_with("GET /slow");
                    say(&mut stream, if slow { "HTTP/1.1 200 OK\r\n\r\n" } else { HELLO }).await;
                    if slow {
                        sleep(Duration::from_millis(200)).await;
                        say(&mut stream, "late").await;
                        break;
                    }
                }
                counted.set(counted.get() + 1);
            }
        })
        .await;
        let client = client(&[]);
        let slow = client.get(&peer.url("/slow")).await.unwrap();
        client.text(&peer.url("/")).await;
        settle().await;
        drop(client);
        settle().await;
        assert_eq!((peer.connections.get(), gone.get()), (2, 1));
        assert_eq!(read(slow.body).await, ("late".to_owned(), Ok(())));
    });
}

#[test]
fn what_outlives_its_event_loop_is_dropped_without_it() {
    let kept = Rc::new(std::cell::RefCell::new(None));
    let keep = kept.clone();
    run(async move {
        let peer = answering("HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\nhello").await;
        let client = client(&[(Limit::OutboundConnections, 2)]);
        let unread = client.get(&peer.url("/")).await.unwrap();
        let mut read = client.get(&peer.url("/")).await.unwrap();
        chunk(&mut read.body).await.unwrap().unwrap();
        let mut waiting = client.http.send(request("GET", &peer.url("/"), Body::Empty));
        tokio::select! {
            biased;
            _ = &mut waiting => panic!("there is no connection free"),
            () = std::future::ready(()) => {}
        }
        keep.replace(Some((unread, read, waiting, client)));
    });
    drop(kept.take().unwrap());
}

#[test]
fn a_large_body_comes_no_faster_than_it_is_read() {
    run(async {
        let written = Rc::new(Cell::new(0usize));
        let counted = written.clone();
        let peer = peer(move |_, mut stream| {
            let counted = counted.clone();
            async move {
                head(&mut stream).await;
                say(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 67108864\r\n\r\n").await;
                for _ in 0..1024 {
                    stream.write_all(&[b'x'; 64 << 10]).await.unwrap();
                    counted.set(counted.get() + 1);
                }
                closed(&mut stream).await;
            }
        })
        .await;
        let client = client(&[]);
        let mut body = client.get(&peer.url("/")).await.unwrap().body;
        sleep(Duration::from_millis(200)).await;
        assert!(written.get() < 300, "{} chunks were written", written.get());
        let mut length = 0;
        while let Some(chunk) = chunk(&mut body).await {
            let chunk = chunk.unwrap();
            assert!(chunk.len() <= 128 << 10, "{}", chunk.len());
            length += chunk.len();
        }
        assert_eq!(length, 64 << 20);
    });
}
