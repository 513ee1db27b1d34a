//! HTTP/2: many requests on one connection.

#![allow(clippy::unwrap_used)]

mod common;

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use common::secure::*;
use common::*;
use futures_util::future::join_all;
use http_body_util::BodyExt;
use hyper::Response;
use hyper_util::rt::TokioIo;
use nexus_core::Limit;
use nexus_guest::{Body, BodyError, HttpError, pipe};
use tokio::task::spawn_local;
use tokio::time::sleep;

#[test]
fn http2_has_one_connection_for_all_requests() {
    run(async {
        let authority = authority("h2");
        let seen = Rc::new(RefCell::new(Vec::new()));
        let heads = seen.clone();
        let peer = h2_peer(authority.acceptor(&["h2", "http/1.1"], |_| {}), 100, move |request| {
            let heads = heads.clone();
            async move {
                sleep(Duration::from_millis(20)).await;
                let (head, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                heads.borrow_mut().push((head, body));
                Response::builder().header("x-a", "1").body(whole("hello")).unwrap()
            }
        })
        .await;
        let client = Rc::new(authority.client(&[]));
        let all = (0..20).map(|_| {
            let (client, url) = (client.clone(), secure_url(&peer, "/a?b"));
            spawn_local(async move { client.text(&url).await })
        });
        for text in join_all(all).await {
            assert_eq!(text.unwrap(), "hello");
        }
        assert_eq!(peer.connections.get(), 1);
        let sent = client
            .send(request("POST", &secure_url(&peer, "/up"), Body::Full(Bytes::from("hello"))))
            .await
            .unwrap();
        assert_eq!((sent.status, &*sent.reason), (200, &b""[..]));
        assert_eq!(sent.headers.get("x-a"), Some(&b"1"[..]));
        assert_eq!(sent.body.exact_length(), Some(5));
        let seen = seen.borrow();
        assert_eq!(seen[0].0.uri.to_string(), secure_url(&peer, "/a?b"));
        assert!(!seen[0].0.headers.contains_key("host"));
        assert_eq!(seen[20].0.headers.get("content-length").unwrap(), "5");
        assert_eq!(seen[20].1, "hello");
        assert_eq!(peer.connections.get(), 1);
    });
}

#[test]
fn an_http2_connection_that_breaks_is_replaced_for_what_can_be_sent_again() {
    run(async {
        let authority = authority("broken");
        let acceptor = authority.acceptor(&["h2"], |_| {});
        // The first connection breaks at its second request.
        let first = Rc::new(Cell::new(true));
        let peer = secure(acceptor, move |stream| {
            let breaks = first.replace(false);
            async move {
                let (tell, told) = tokio::sync::oneshot::channel::<()>();
                let tell = RefCell::new(Some(tell));
                let requests = Cell::new(0);
                let service = hyper::service::service_fn(|_| {
                    requests.set(requests.get() + 1);
                    if breaks && requests.get() == 2 {
                        drop(tell.borrow_mut().take());
                    }
                    async { Ok::<_, Infallible>(Response::new(whole("hello"))) }
                });
                let connection = hyper::server::conn::http2::Builder::new(Local)
                    .serve_connection(TokioIo::new(stream), service);
                tokio::select! {
                    biased;
                    _ = told => {}
                    _ = connection => {}
                }
            }
        })
        .await;
        let client = authority.client(&[]);
        assert_eq!(client.text(&secure_url(&peer, "/")).await, "hello");
        let texts = [client.text(&secure_url(&peer, "/")).await, client.text(&secure_url(&peer, "/")).await];
        assert_eq!(texts, ["hello", "hello"]);
        assert!(peer.connections.get() <= 2);
    });
}

#[test]
fn http2_requests_wait_for_a_stream() {
    run(async {
        let authority = authority("streams");
        let open = Rc::new(Cell::new((0, 0)));
        let counted = open.clone();
        let peer = h2_peer(authority.acceptor(&["h2"], |_| {}), 3, move |_| {
            let counted = counted.clone();
            async move {
                let (now, most) = counted.get();
                counted.set((now + 1, most.max(now + 1)));
                sleep(Duration::from_millis(10)).await;
                let (now, most) = counted.get();
                counted.set((now - 1, most));
                Response::new(whole("hello"))
            }
        })
        .await;
        let client = Rc::new(authority.client(&[]));
        let all = (0..30).map(|_| {
            let (client, url) = (client.clone(), secure_url(&peer, "/"));
            spawn_local(async move { client.text(&url).await })
        });
        for text in join_all(all).await {
            assert_eq!(text.unwrap(), "hello");
        }
        assert_eq!((peer.connections.get(), open.get().1), (1, 3));
    });
}

#[test]
fn dropping_an_http2_body_resets_its_stream_alone() {
    run(async {
        let authority = authority("reset");
        let gone = Rc::new(Cell::new(0));
        let counted = gone.clone();
        let peer = h2_peer(authority.acceptor(&["h2"], |_| {}), 100, move |_| {
            let counted = counted.clone();
            async move { endless(counted) }
        })
        .await;
        let client = authority.client(&[]);
        let mut first = client.get(&secure_url(&peer, "/")).await.unwrap();
        let mut second = client.get(&secure_url(&peer, "/")).await.unwrap();
        chunk(&mut first.body).await.unwrap().unwrap();
        drop(first);
        settle().await;
        assert_eq!(gone.get(), 1);
        for _ in 0..100 {
            chunk(&mut second.body).await.unwrap().unwrap();
        }
        assert_eq!(peer.connections.get(), 1);
        drop((second, client));
        settle().await;
        assert_eq!(gone.get(), 2);
    });
}

#[test]
fn an_http2_response_that_nobody_reads_gives_way() {
    run(async {
        let authority = authority("evict");
        let gone = Rc::new(Cell::new(0));
        let counted = gone.clone();
        let peer = h2_peer(authority.acceptor(&["h2"], |_| {}), 2, move |_| {
            let counted = counted.clone();
            async move { endless(counted) }
        })
        .await;
        let client = authority.client(&[]);
        // The first tells the client how many streams there may be.
        drop(client.get(&secure_url(&peer, "/")).await.unwrap());
        settle().await;
        let mut unread = Vec::new();
        for _ in 0..4 {
            unread.push(client.get(&secure_url(&peer, "/")).await.unwrap());
        }
        assert_eq!(client.told.warned.borrow().len(), 2);
        assert_eq!(chunk(&mut unread[0].body).await, Some(Err(BodyError::Evicted)));
        assert!(chunk(&mut unread[3].body).await.unwrap().is_ok());
        assert_eq!(peer.connections.get(), 1);
    });
}

#[test]
fn http2_uploads_are_streamed_and_cancelled_with_their_response() {
    run(async {
        let authority = authority("upload");
        let peer = h2_peer(authority.acceptor(&["h2"], |_| {}), 100, |request| async move {
            let mut body = request.into_body();
            let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(first, "hello");
            spawn_local(async move { while body.frame().await.is_some_and(|frame| frame.is_ok()) {} });
            endless(Rc::default())
        })
        .await;
        let client = authority.client(&[]);
        let (writer, body) = pipe(100, None);
        writer.write(Bytes::from("hello"));
        let response = client.send(request("POST", &secure_url(&peer, "/"), body)).await.unwrap();
        assert_ne!(writer.write(Bytes::from("more")), nexus_guest::PipeState::Closed);
        drop(response);
        settle().await;
        assert_eq!(writer.write(Bytes::from("more")), nexus_guest::PipeState::Closed);
    });
}

#[test]
fn an_http2_head_that_is_too_large_is_refused() {
    run(async {
        let authority = authority("large");
        let peer = h2_peer(authority.acceptor(&["h2"], |_| {}), 100, |_| async {
            Response::builder().header("x", "a".repeat(5000)).body(whole("hello")).unwrap()
        })
        .await;
        let client = authority.client(&[(Limit::OutboundHeaders, 2000)]);
        let error = client.get(&secure_url(&peer, "/")).await.unwrap_err();
        assert_eq!(error, HttpError::Limit(Limit::OutboundHeaders, 2000));
    });
}

#[test]
fn an_http2_connection_that_was_closed_is_replaced() {
    run(async {
        let authority = authority("closed");
        let acceptor = authority.acceptor(&["h2"], |_| {});
        let peer = secure(acceptor, |stream| async move {
            let service =
                hyper::service::service_fn(|_| async { Ok::<_, Infallible>(Response::new(whole("hello"))) });
            let connection = hyper::server::conn::http2::Builder::new(Local)
                .serve_connection(TokioIo::new(stream), service);
            let mut connection = std::pin::pin!(connection);
            tokio::select! {
                _ = connection.as_mut() => return,
                () = sleep(Duration::from_millis(100)) => {}
            }
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        })
        .await;
        let client = authority.client(&[]);
        assert_eq!(client.text(&secure_url(&peer, "/")).await, "hello");
        sleep(Duration::from_millis(200)).await;
        assert_eq!(client.text(&secure_url(&peer, "/")).await, "hello");
        assert_eq!(peer.connections.get(), 2);
    });
}

#[test]
fn a_connection_on_which_nothing_comes_takes_no_further_requests() {
    run(async {
        let authority = authority("dead");
        let acceptor = authority.acceptor(&["h2"], |_| {});
        // The first connection is served for a while, and then it is as if its peer had vanished.
        let first = Rc::new(Cell::new(true));
        let peer = secure(acceptor, move |stream| {
            let vanishes = first.replace(false);
            async move {
                let service = hyper::service::service_fn(|_| async {
                    Ok::<_, Infallible>(Response::new(whole("hello")))
                });
                let connection = hyper::server::conn::http2::Builder::new(Local)
                    .serve_connection(TokioIo::new(stream), service);
                let mut connection = std::pin::pin!(connection);
                tokio::select! {
                    _ = connection.as_mut() => return,
                    () = sleep(Duration::from_millis(100)), if vanishes => {}
                }
                std::future::pending().await
            }
        })
        .await;
        let client = authority.client(&[(Limit::FirstByte, 300)]);
        let url = secure_url(&peer, "/");
        assert_eq!(client.text(&url).await, "hello");
        sleep(Duration::from_millis(200)).await;
        assert_eq!(client.get(&url).await.unwrap_err(), HttpError::Limit(Limit::FirstByte, 300));
        assert_eq!(client.text(&url).await, "hello");
        assert_eq!(peer.connections.get(), 2);
        // The first is closed, for nothing is under way on it.
        settle().await;
        assert_eq!(client.told.open(), 1);
    });
}

#[test]
fn responses_that_nobody_reads_hold_half_a_megabyte_in_all() {
    run(async {
        let authority = authority("windows");
        let granted = Rc::new(Cell::new(0));
        let counted = granted.clone();
        let peer = secure(authority.acceptor(&["h2"], |_| {}), move |stream| {
            let counted = counted.clone();
            async move {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((_, mut respond))) = connection.accept().await {
                    let counted = counted.clone();
                    let mut stream = respond.send_response(http::Response::new(()), false).unwrap();
                    spawn_local(async move {
                        stream.reserve_capacity(4 << 20);
                        let mut before = 0;
                        while let Some(Ok(now)) = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await {
                            counted.set(counted.get() + now - before);
                            before = now;
                        }
                    });
                }
            }
        })
        .await;
        let client = authority.client(&[]);
        let mut responses = Vec::new();
        for expected in [256, 512, 512] {
            responses.push(client.get(&secure_url(&peer, "/")).await.unwrap());
            settle().await;
            assert_eq!(granted.get(), expected << 10);
        }
    });
}
