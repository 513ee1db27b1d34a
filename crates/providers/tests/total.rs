//! How many connections a client has in all, and who waits where there are too many.

#![allow(clippy::unwrap_used)]

mod common;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use common::*;
use nexus_core::Limit;
use nexus_guest::{Body, BodyError, HttpError};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::sleep;

const HELLO: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
const LONG: &str = "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\nhello";

/// Runs a test when no other one runs: each has hundreds of sockets.
fn run_alone(test: impl Future<Output = ()>) {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    run(test);
}

/// A peer that answers as many requests as it is allowed.
struct Slow {
    peer: Peer,
    open: Rc<Cell<usize>>,
    allowed: Rc<Semaphore>,
}

async fn slow() -> Slow {
    let (open, allowed) = (Rc::new(Cell::new(0)), Rc::new(Semaphore::new(0)));
    let (counted, asked) = (open.clone(), allowed.clone());
    let peer = peer(move |_, mut stream| {
        let (open, allowed) = (counted.clone(), asked.clone());
        async move {
            open.set(open.get() + 1);
            while head(&mut stream).await.is_some() {
                allowed.acquire().await.unwrap().forget();
                say(&mut stream, HELLO).await;
            }
            open.set(open.get() - 1);
        }
    })
    .await;
    Slow { peer, open, allowed }
}

fn many(client: &Rc<Client>, url: &str, count: usize) -> Vec<JoinHandle<String>> {
    let one = |_| {
        let (client, url) = (client.clone(), url.to_owned());
        spawn_local(async move { client.text(&url).await })
    };
    (0..count).map(one).collect()
}

async fn all(requests: Vec<JoinHandle<String>>) {
    for request in requests {
        assert_eq!(request.await.unwrap(), "hello");
    }
}

#[test]
fn there_are_128_connections_at_most_to_whichever_hosts() {
    run_alone(async {
        let (a, b) = (slow().await, slow().await);
        let client = Rc::new(client(&[(Limit::OutboundConnections, 100)]));
        let (of_a, of_b) = (many(&client, &a.peer.url("/"), 100), many(&client, &b.peer.url("/"), 60));
        sleep(Duration::from_millis(200)).await;
        assert_eq!((a.open.get(), b.open.get()), (100, 28));
        assert_eq!(client.told.open(), 128);
        a.allowed.add_permits(100);
        b.allowed.add_permits(60);
        all(of_a).await;
        all(of_b).await;
    });
}

#[test]
fn the_connection_that_is_idle_for_longest_makes_room() {
    run_alone(async {
        let (a, b) = (slow().await, slow().await);
        let client = Rc::new(client(&[(Limit::OutboundConnections, 200)]));
        a.allowed.add_permits(20);
        all(many(&client, &a.peer.url("/"), 20)).await;
        let held = many(&client, &b.peer.url("/"), 108);
        sleep(Duration::from_millis(200)).await;
        assert_eq!((a.open.get(), b.open.get()), (20, 108));
        let more = many(&client, &b.peer.url("/"), 3);
        sleep(Duration::from_millis(200)).await;
        assert_eq!((a.open.get(), b.open.get()), (17, 111));
        b.allowed.add_permits(111);
        all(held).await;
        all(more).await;
    });
}

#[test]
fn who_waits_for_any_connection_is_served_in_order() {
    run_alone(async {
        let (a, b, c) = (slow().await, answering(HELLO).await, answering(HELLO).await);
        let client = Rc::new(client(&[(Limit::OutboundConnections, 200)]));
        let held = many(&client, &a.peer.url("/"), 128);
        sleep(Duration::from_millis(200)).await;
        let order = Rc::new(RefCell::new(Vec::new()));
        let ask = |name: &'static str, url: String| {
            let (client, order) = (client.clone(), order.clone());
            spawn_local(async move {
                assert_eq!(client.text(&url).await, "hello");
                order.borrow_mut().push(name);
            })
        };
        // The second could take the connection that becomes free; but the first waits for longer.
        let waiting = [("b", b.url("/")), ("a", a.peer.url("/")), ("c", c.url("/")), ("d", b.url("/"))]
            .map(|(name, url)| ask(name, url));
        sleep(Duration::from_millis(200)).await;
        assert!(order.borrow().is_empty());
        waiting[2].abort();
        a.allowed.add_permits(1);
        sleep(Duration::from_millis(200)).await;
        assert_eq!(*order.borrow(), ["b"]);
        a.allowed.add_permits(128);
        for (number, waiting) in waiting.into_iter().enumerate() {
            assert_eq!(waiting.await.is_ok(), number != 2);
        }
        all(held).await;
    });
}

#[test]
fn responses_of_other_hosts_that_nobody_reads_give_way() {
    run_alone(async {
        let (a, b) = (answering(LONG).await, answering(HELLO).await);
        let client = client(&[(Limit::OutboundConnections, 200)]);
        let mut unread = Vec::new();
        for _ in 0..128 {
            unread.push(client.get(&a.url("/")).await.unwrap());
        }
        assert_eq!(client.text(&b.url("/")).await, "hello");
        assert_eq!(
            *client.told.warned.borrow(),
            [format!(
                "the response of GET http://127.0.0.1:{}/ was cancelled: nobody read its body while other requests waited for one of the 128 connections that there may be in all",
                a.port
            )]
        );
        assert_eq!(chunk(&mut unread[0].body).await, Some(Err(BodyError::Evicted)));
        assert_eq!(chunk(&mut unread[1].body).await.unwrap().unwrap(), "hello");
    });
}

#[test]
fn no_socket_is_opened_while_the_host_has_no_descriptor_left() {
    run(async {
        let peer = answering(HELLO).await;
        let client = Rc::new(client(&[(Limit::Connect, 300)]));
        client.told.starve(true);
        let error = client.get(&peer.url("/")).await.unwrap_err();
        assert_eq!(error, HttpError::Connect("the host has no file descriptors left".to_owned()));
        assert_eq!((peer.connections.get(), client.told.open()), (0, 0));
        let waiting = many(&client, &peer.url("/"), 1);
        settle().await;
        client.told.starve(false);
        all(waiting).await;
        assert_eq!(client.told.open(), 1);
        // A connection that is there is used all the same.
        client.told.starve(true);
        assert_eq!(client.text(&peer.url("/")).await, "hello");
    });
}

#[test]
fn sockets_are_counted_until_they_are_closed() {
    run(async {
        let peer = peer(|_, mut stream| async move {
            head(&mut stream).await;
            say(&mut stream, LONG).await;
            closed(&mut stream).await;
        })
        .await;
        let client = client(&[]);
        let told = client.told.clone();
        let response = client.get(&peer.url("/")).await.unwrap();
        client.get("http://127.0.0.1:1/").await.unwrap_err();
        assert_eq!(told.open(), 1);
        drop((response, client));
        settle().await;
        assert_eq!(told.open(), 0);
    });
}

#[test]
fn requests_that_are_given_up_are_told() {
    run(async {
        let peer = peer(|_, mut stream| async move { closed(&mut stream).await }).await;
        let client = client(&[]);
        let sent = spawn_local(client.http.send(request("GET", &peer.url("/"), Body::Empty)));
        settle().await;
        sent.abort();
        assert!(sent.await.is_err());
        // One that never began is none.
        drop(client.http.send(request("GET", &peer.url("/"), Body::Empty)));
        assert_eq!((client.told.dropped.get(), client.told.sent.borrow().len()), (1, 0));
        let ended = answering(HELLO).await;
        assert_eq!(client.text(&ended.url("/")).await, "hello");
        assert_eq!((client.told.dropped.get(), client.told.sent.borrow().len()), (1, 1));
    });
}
