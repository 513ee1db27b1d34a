//! Many requests to one host: who waits, and who is cancelled.

#![allow(clippy::unwrap_used)]

mod common;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use common::*;
use futures_util::future::join_all;
use nexus_core::Limit;
use nexus_guest::{Body, BodyError, HttpError};
use tokio::task::spawn_local;
use tokio::time::sleep;

const HELLO: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
const LONG: &str = "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\nhello";

#[test]
fn more_requests_than_connections_wait_in_order() {
    run(async {
        let open = Rc::new(Cell::new((0, 0)));
        let counted = open.clone();
        let peer = peer(move |_, mut stream| {
            let counted = counted.clone();
            async move {
                let (now, most) = counted.get();
                counted.set((now + 1, most.max(now + 1)));
                while head(&mut stream).await.is_some() {
                    sleep(Duration::from_millis(10)).await;
                    say(&mut stream, HELLO).await;
                }
                let (now, most) = counted.get();
                counted.set((now - 1, most));
            }
        })
        .await;
        let client = Rc::new(client(&[]));
        let order = Rc::new(std::cell::RefCell::new(Vec::new()));
        let all = (0..60).map(|number| {
            let (client, order, url) = (client.clone(), order.clone(), peer.url("/"));
            spawn_local(async move {
                assert_eq!(client.text(&url).await, "hello");
                order.borrow_mut().push(number);
            })
        });
        for done in join_all(all).await {
            done.unwrap();
        }
        assert_eq!((peer.connections.get(), open.get().1), (6, 6));
        // In waves of six; within one the order is the event loop's.
        for (wave, numbers) in order.borrow().chunks(6).enumerate() {
            assert!(numbers.iter().all(|number| number / 6 == wave), "{:?}", order.borrow());
        }
    });
}

#[test]
fn whoever_leaves_the_queue_does_not_hold_it_up() {
    run(async {
        let peer = peer(|_, mut stream| async move {
            while head(&mut stream).await.is_some() {
                sleep(Duration::from_millis(100)).await;
                say(&mut stream, HELLO).await;
            }
        })
        .await;
        let client = client(&[(Limit::OutboundConnections, 1)]);
        let first = spawn_local(client.http.send(request_to(&peer)));
        sleep(Duration::from_millis(10)).await;
        let second = spawn_local(client.http.send(request_to(&peer)));
        let third = spawn_local(client.http.send(request_to(&peer)));
        sleep(Duration::from_millis(10)).await;
        second.abort();
        assert_eq!(first.await.unwrap().unwrap().status, 200);
        assert_eq!(third.await.unwrap().unwrap().status, 200);
        assert_eq!(peer.connections.get(), 1);
    });
}

fn request_to(peer: &Peer) -> nexus_guest::OutboundRequest {
    request("GET", &peer.url("/"), Body::Empty)
}

#[test]
fn waiting_counts_as_waiting_for_the_response() {
    run(async {
        let peer = peer(|_, mut stream| async move { closed(&mut stream).await }).await;
        let client = client(&[(Limit::OutboundConnections, 1), (Limit::FirstByte, 200)]);
        let first = spawn_local(client.http.send(request_to(&peer)));
        sleep(Duration::from_millis(10)).await;
        let error = HttpError::Limit(Limit::FirstByte, 200);
        assert_eq!(client.get(&peer.url("/")).await.unwrap_err(), error);
        assert_eq!(first.await.unwrap().unwrap_err(), error);
    });
}

#[test]
fn a_response_that_nobody_reads_gives_way() {
    run(async {
        let peer = answering(LONG).await;
        let client = client(&[(Limit::OutboundConnections, 3)]);
        let mut unread = Vec::new();
        for _ in 0..3 {
            unread.push(client.get(&peer.url("/path?secret")).await.unwrap());
        }
        let fourth = client.get(&peer.url("/")).await.unwrap();
        assert_eq!(fourth.status, 200);
        let url = peer.url("/path");
        assert_eq!(
            *client.told.warned.borrow(),
            [format!(
                "the response of GET {url} was cancelled: nobody read its body while other requests waited for one of the 3 connections to its host (limit: outbound_connections 3)"
            )]
        );
        // It was the oldest.
        assert_eq!(chunk(&mut unread[0].body).await, Some(Err(BodyError::Evicted)));
        assert_eq!(chunk(&mut unread[0].body).await, None);
        assert_eq!(chunk(&mut unread[1].body).await.unwrap().unwrap(), "hello");
    });
}

#[test]
fn many_responses_that_nobody_reads_do_not_block_each_other() {
    run(async {
        let peer = answering(LONG).await;
        let client = client(&[(Limit::OutboundConnections, 2)]);
        let mut all = Vec::new();
        for _ in 0..6 {
            all.push(client.get(&peer.url("/")).await.unwrap());
        }
        assert_eq!(client.told.warned.borrow().len(), 4);
    });
}

#[test]
fn a_response_whose_reader_waits_for_the_peer_is_not_cancelled() {
    run(async {
        let peer = answering(LONG).await;
        let client = client(&[(Limit::OutboundConnections, 1), (Limit::FirstByte, 600)]);
        let response = client.get(&peer.url("/")).await.unwrap();
        let reader = spawn_local(read(response.body));
        let error = client.get(&peer.url("/")).await.unwrap_err();
        assert_eq!(error, HttpError::Limit(Limit::FirstByte, 600));
        assert!(client.told.warned.borrow().is_empty());
        reader.abort();
        assert!(reader.await.is_err());
        assert_eq!(client.get(&peer.url("/")).await.unwrap().status, 200);
    });
}

#[test]
fn a_reader_that_was_told_of_a_chunk_and_stays_away_is_cancelled() {
    run(async {
        let peer = peer(|_, mut stream| async move {
            head(&mut stream).await;
            say(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n").await;
            sleep(Duration::from_millis(50)).await;
            say(&mut stream, "hello").await;
            closed(&mut stream).await;
        })
        .await;
        let client = client(&[(Limit::OutboundConnections, 1)]);
        let mut response = client.get(&peer.url("/")).await.unwrap();
        tokio::select! {
            biased;
            _ = chunk(&mut response.body) => panic!("nothing has come"),
            () = std::future::ready(()) => {}
        }
        assert_eq!(client.get(&peer.url("/")).await.unwrap().status, 200);
        assert_eq!(client.told.warned.borrow().len(), 1);
        assert_eq!(chunk(&mut response.body).await.unwrap().unwrap(), "hello");
        assert_eq!(chunk(&mut response.body).await, Some(Err(BodyError::Evicted)));
    });
}

#[test]
fn few_idle_connections_are_kept_in_all_but_those_used_just_now_are() {
    run(async {
        let (open, opened) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let client = client(&[]);
        let mut peers = Vec::new();
        for _ in 0..40 {
            let (open, opened) = (open.clone(), opened.clone());
            let peer = peer(move |_, mut stream| {
                let (open, opened) = (open.clone(), opened.clone());
                async move {
                    opened.set(opened.get() + 1);
                    open.set(open.get() + 1);
                    while head(&mut stream).await.is_some() {
                        say(&mut stream, HELLO).await;
                    }
                    open.set(open.get() - 1);
                }
            })
            .await;
            assert_eq!(client.text(&peer.url("/")).await, "hello");
            peers.push(peer);
        }
        for peer in &peers {
            assert_eq!(client.text(&peer.url("/")).await, "hello");
        }
        assert_eq!(opened.get(), 40, "the same ones");
        while open.get() > 32 {
            sleep(Duration::from_millis(10)).await;
        }
        sleep(Duration::from_millis(1500)).await;
        assert_eq!((open.get(), opened.get()), (32, 40));
    });
}

#[test]
fn only_who_is_first_in_the_queue_looks_after_it() {
    run(async {
        let peer = peer(|_, mut stream| async move { closed(&mut stream).await }).await;
        let client = client(&[(Limit::OutboundConnections, 1)]);
        let polls = Rc::new(Cell::new(0));
        let waiting: Vec<_> = (0..100)
            .map(|_| {
                let (mut sent, polls) = (client.http.send(request_to(&peer)), polls.clone());
                spawn_local(std::future::poll_fn(move |cx| {
                    polls.set(polls.get() + 1);
                    sent.as_mut().poll(cx)
                }))
            })
            .collect();
        // Time for many looks at the queue.
        sleep(Duration::from_millis(1000)).await;
        assert!(polls.get() < 200, "{} polls", polls.get());
        for waiting in &waiting {
            waiting.abort();
        }
    });
}

#[test]
fn a_small_body_that_came_with_its_head_is_given_as_a_whole() {
    run(async {
        let peer = answering(HELLO).await;
        let client = client(&[(Limit::OutboundConnections, 1)]);
        for _ in 0..3 {
            // Nobody reads it, and the connection is free all the same.
            let body = client.get(&peer.url("/")).await.unwrap().body;
            assert!(matches!(&body, Body::Full(bytes) if bytes == "hello"), "{body:?}");
        }
        assert_eq!(peer.connections.get(), 1);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn the_system_asks_a_silent_peer_whether_it_is_still_there() {
    run(async {
        let peer = answering(HELLO).await;
        let client = client(&[]);
        assert_eq!(client.text(&peer.url("/")).await, "hello");
        let remote = format!("0100007F:{:04X}", peer.port);
        // Its timer is the second kind, a keepalive, once what was sent is acknowledged.
        loop {
            let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
            let rows = table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
            let timers: Vec<&str> = rows.filter(|row| row[2] == remote).map(|row| row[5]).collect();
            assert_eq!(timers.len(), 1, "{timers:?}");
            if timers[0].starts_with("02:") {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    });
}
