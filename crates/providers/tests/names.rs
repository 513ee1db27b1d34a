//! Where connections go: grants, names, addresses.

#![allow(clippy::unwrap_used)]

mod common;

use std::cell::RefCell;
use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use common::*;
use nexus_core::{Limit, OutboundSection};
use nexus_guest::{Body, HttpError};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use tokio::task::spawn_local;
use tokio::time::timeout;

const HELLO: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

fn asking(server: SocketAddr) -> OutboundSection {
    OutboundSection { name_servers: vec![server], ..OutboundSection::default() }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn a_host_that_is_not_granted_is_not_looked_up() {
    run(async {
        let (server, queries) = name_server(|_| vec![ip("127.0.0.1")]).await;
        let client = client_with(&asking(server), &["granted.example:80", "127.0.0.1:1"], &[]);
        for url in ["http://other.example/", "http://granted.example:81/", "http://127.0.0.2/"] {
            let error = client.get(url).await.unwrap_err();
            let denied = client.told.denied.borrow_mut().pop().unwrap();
            assert_eq!(error, HttpError::Denied(denied), "{url}");
        }
        assert_eq!(queries.get(), 0);
        assert_eq!(client.told.sent.borrow().len(), 3);
    });
}

#[test]
fn a_name_leads_to_no_private_address() {
    run(async {
        let (server, _) = name_server(|_| vec![ip("127.0.0.1"), ip("10.0.0.1")]).await;
        let client = client_with(&asking(server), &["rebound.example"], &[]);
        let error = client.get("http://rebound.example/").await.unwrap_err();
        let HttpError::Denied(denied) = error else { panic!("{error:?}") };
        assert_eq!(denied.address, Some(ip("127.0.0.1")));
        assert_eq!(client.told.denied.borrow().len(), 1);
    });
}

#[test]
fn a_connection_goes_to_the_address_that_was_decided_on() {
    run(async {
        let peer = answering(HELLO).await;
        // The second address is nobody's; whoever looks the name up again goes there.
        let (server, queries) =
            name_server(|n| vec![ip(if n == 0 { "127.0.0.1" } else { "10.1.1.1" })]).await;
        let grants = ["moving.example", "127.0.0.1"];
        let client = client_with(&asking(server), &grants, &[(Limit::Connect, 2000)]);
        let url = format!("http://moving.example:{}/", peer.port);
        assert_eq!(client.text(&url).await, "hello");
        assert_eq!(queries.get(), 1);
        // The connection is kept; without it the answer of now is decided on.
        assert_eq!(client.text(&url).await, "hello");
        let fresh = client_with(&asking(server), &grants, &[]);
        assert!(matches!(fresh.get(&url).await.unwrap_err(), HttpError::Denied(_)));
    });
}

#[test]
fn addresses_that_are_not_granted_are_left_out() {
    run(async {
        let peer = answering(HELLO).await;
        let (server, _) = name_server(|_| vec![ip("10.1.1.1"), ip("127.0.0.1")]).await;
        let client = client_with(&asking(server), &["some.example", "127.0.0.1"], &[]);
        assert_eq!(client.text(&format!("http://some.example:{}/", peer.port)).await, "hello");
        assert!(client.told.denied.borrow().is_empty());
    });
}

#[test]
fn names_that_have_no_address_are_told_so() {
    run(async {
        let (server, _) = name_server(|_| Vec::new()).await;
        let client = client_with(&asking(server), &["*"], &[(Limit::Connect, 5000)]);
        let error = client.get("http://nothing.example/").await.unwrap_err();
        assert_eq!(error, HttpError::Name("nothing.example: it has no address".to_owned()));
    });
}

#[test]
fn a_name_server_that_is_silent_is_not_waited_for_longer_than_the_limit() {
    run(async {
        let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let server = silent.local_addr().unwrap();
        let client = client_with(&asking(server), &["*"], &[(Limit::Connect, 100)]);
        let error = client.get("http://slow.example/").await.unwrap_err();
        assert_eq!(error, HttpError::Limit(Limit::Connect, 100));
    });
}

#[test]
fn who_connects_by_itself_gets_each_address_of_a_name() {
    run(async {
        let (server, asked) = name_server(|_| vec![ip("10.0.0.1"), ip("93.184.215.14")]).await;
        let client = client_with(&asking(server), &["db.example:5432"], &[(Limit::Connect, 5000)]);
        let mut found = client.http.look_up("db.example").await.unwrap();
        found.sort();
        assert_eq!(found, [ip("10.0.0.1"), ip("93.184.215.14")]);
        assert_eq!(asked.get(), 1);
        assert_eq!(client.told.sent.borrow().len(), 0, "it is no request");
        let (server, asked) = name_server(|_| vec![ip("93.184.215.14")]).await;
        let client = client_with(&asking(server), &[], &[]);
        for name in ["localhost", "a.localhost"] {
            // RFC 6761, section 6.3: nobody is asked.
            assert_eq!(client.http.look_up(name).await.unwrap(), [ip("::1"), ip("127.0.0.1")]);
        }
        assert_eq!(asked.get(), 0);
    });
}

#[test]
fn a_look_up_fails_as_a_request_does() {
    run(async {
        let (server, _) = name_server(|_| Vec::new()).await;
        let client = client_with(&asking(server), &[], &[(Limit::Connect, 5000)]);
        let error = client.http.look_up("nothing.example").await.unwrap_err();
        assert_eq!(error, HttpError::Name("nothing.example: it has no address".to_owned()));
        let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let client = client_with(&asking(silent.local_addr().unwrap()), &[], &[(Limit::Connect, 100)]);
        let error = client.http.look_up("slow.example").await.unwrap_err();
        assert_eq!(error, HttpError::Limit(Limit::Connect, 100));
    });
}

#[test]
fn a_name_is_meant_from_the_root() {
    run(async {
        // The question that the server got, as it came.
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let client = client_with(&asking(socket.local_addr().unwrap()), &["*"], &[(Limit::Connect, 300)]);
        let sent = client.http.send(request("GET", "http://single/", Body::Empty));
        let sent = tokio::task::spawn_local(sent);
        let mut query = [0; 512];
        socket.recv_from(&mut query).await.unwrap();
        assert_eq!(&query[12..20], b"\x06single\x00");
        sent.await.unwrap().unwrap_err();
    });
}

#[test]
fn refused_connections_are_told_by_address() {
    run(async {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let client = client(&[]);
        let error = client.get(&format!("http://{free}/")).await.unwrap_err();
        assert_eq!(error, HttpError::Connect(format!("{free}: connection refused")));
        let error = client.get(&format!("http://localhost:{}/", free.port())).await.unwrap_err();
        let HttpError::Connect(text) = error else { panic!("{error:?}") };
        assert!(text.contains(&format!("{free}: connection refused")), "{text}");
        assert!(text.contains("[::1]:"), "{text}");
    });
}

#[test]
fn requests_that_cannot_be_sent_are_invalid() {
    run(async {
        let peer = answering(HELLO).await;
        let client = client(&[]);
        let mut bad = request("GET", &peer.url("/"), Body::Empty);
        bad.target = "/a b".to_owned();
        assert!(matches!(client.send(bad).await.unwrap_err(), HttpError::Invalid(_)));
        for method in ["CONNECT", "TRACE", "G T"] {
            let error = client.send(request(method, &peer.url("/"), Body::Empty)).await.unwrap_err();
            assert!(matches!(error, HttpError::Invalid(_)), "{method}");
        }
        assert_eq!(peer.connections.get(), 0);
    });
}

#[test]
fn of_many_addresses_the_first_are_tried() {
    run(async {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let (server, _) = name_server(|_| (1..=20).map(|n| ip(&format!("127.0.0.{n}"))).collect()).await;
        let client = client_with(&asking(server), &["many.example", "127.0.0.0/8"], &[]);
        let error = client.get(&format!("http://many.example:{free}/")).await.unwrap_err();
        let HttpError::Connect(text) = error else { panic!("{error:?}") };
        assert!(text.ends_with("and 4 more"), "{text}");
    });
}

#[test]
fn an_address_that_hangs_does_not_keep_the_next_one_waiting() {
    run(async {
        let peer = answering(HELLO).await;
        // Its queue is full: whoever comes next hears nothing.
        let full = SocketAddr::new(ip("127.0.0.3"), peer.port);
        let listener = TcpSocket::new_v4().unwrap();
        listener.bind(full).unwrap();
        let _listener = listener.listen(0).unwrap();
        let mut queued = Vec::new();
        while let Ok(stream) = timeout(Duration::from_secs(1), TcpStream::connect(full)).await {
            queued.push(stream.unwrap());
        }
        let grants = ["hanging.example", "127.0.0.0/8"];
        // In either order, whichever the look-up makes of it.
        for order in [["127.0.0.3", "127.0.0.1"], ["127.0.0.1", "127.0.0.3"]] {
            let (server, _) = name_server(move |_| order.map(ip).to_vec()).await;
            // The limit is beyond the test's deadline.
            let client = client_with(&asking(server), &grants, &[(Limit::Connect, 600_000)]);
            assert_eq!(client.text(&format!("http://hanging.example:{}/", peer.port)).await, "hello");
        }
        // By itself it never answers.
        let client = client_with(&OutboundSection::default(), &grants, &[(Limit::Connect, 300)]);
        let error = client.get(&format!("http://{full}/")).await.unwrap_err();
        assert_eq!(error, HttpError::Limit(Limit::Connect, 300));
    });
}

/// A name server that knows each name for a minute; except those that begin with `slow`, of which it says nothing, and
/// those that begin with `cut`, where it refers to its TCP port, which is none.
async fn moody() -> (SocketAddr, Rc<RefCell<Vec<String>>>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let asked = Rc::new(RefCell::new(Vec::new()));
    let noted = asked.clone();
    spawn_local(async move {
        let mut query = [0; 1500];
        loop {
            let (length, from) = socket.recv_from(&mut query).await.unwrap();
            let first = usize::from(query[12]);
            let name = String::from_utf8_lossy(&query[13..13 + first]).into_owned();
            let end = 12 + query[12..length].iter().position(|byte| *byte == 0).unwrap() + 5;
            let is_a = query[end - 4..end - 2] == [0, 1];
            if is_a {
                noted.borrow_mut().push(name.clone());
            }
            if name.starts_with("slow") {
                continue;
            }
            let is_cut = name.starts_with("cut");
            let answers = u8::from(is_a && !is_cut);
            let mut reply = query[..2].to_vec();
            reply.extend_from_slice(&[if is_cut { 0x83 } else { 0x81 }, 0x80, 0, 1, 0, answers, 0, 0, 0, 0]);
            reply.extend_from_slice(&query[12..end]);
            if answers == 1 {
                reply.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
            }
            socket.send_to(&reply, from).await.unwrap();
        }
    });
    (address, asked)
}

#[test]
fn names_that_are_known_stay_known_when_the_name_server_fails() {
    run(async {
        let peer = closing("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello").await;
        let (server, asked) = moody().await;
        let client = client_with(&asking(server), &["*", "127.0.0.1"], &[]);
        let url = format!("http://kept.example:{}/", peer.port);
        assert_eq!(client.text(&url).await, "hello");
        let error = client.get("http://cut.example/").await.unwrap_err();
        assert!(matches!(error, HttpError::Name(_)), "{error:?}");
        assert_eq!(client.text(&url).await, "hello");
        assert_eq!(asked.borrow().iter().filter(|name| *name == "kept").count(), 1);
    });
}

#[test]
fn sixteen_names_are_looked_up_at_once() {
    run(async {
        let (server, asked) = moody().await;
        let client = client_with(&asking(server), &["*"], &[]);
        let look_up = |name: String| {
            spawn_local(client.http.send(request("GET", &format!("http://{name}.example/"), Body::Empty)))
        };
        let mut waiting: Vec<_> = (0..15).map(|number| look_up(format!("slow{number}"))).collect();
        settle().await;
        assert!(look_up("cut".to_owned()).await.unwrap().is_err());
        waiting.extend((15..40).map(|number| look_up(format!("slow{number}"))));
        settle().await;
        let slow: HashSet<String> =
            asked.borrow().iter().filter(|name| name.starts_with("slow")).cloned().collect();
        assert_eq!(slow.len(), 16);
    });
}

#[test]
fn a_look_up_counts_with_the_sockets_that_it_may_have() {
    run(async {
        let (server, _) = moody().await;
        let client = client_with(&asking(server), &["*"], &[(Limit::Connect, 400)]);
        client.told.starve(true);
        let none = HttpError::Connect("the host has no file descriptors left".to_owned());
        assert_eq!(client.http.look_up("a.example").await.unwrap_err(), none);
        let waiting = spawn_local(client.http.look_up("b.example"));
        settle().await;
        client.told.starve(false);
        assert_eq!(waiting.await.unwrap().unwrap(), [ip("127.0.0.1")]);
        assert_eq!(client.told.open(), 0);
        // Two questions, each of them asked three times.
        let waiting = spawn_local(client.http.look_up("slow.example"));
        settle().await;
        assert_eq!(client.told.open(), 6);
        assert_eq!(waiting.await.unwrap().unwrap_err(), HttpError::Limit(Limit::Connect, 400));
        assert_eq!(client.told.open(), 0);
    });
}
