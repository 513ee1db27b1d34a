//! Sockets of WebAssembly apps: where they lead, and how many there may be. The guests' sources and paths are in
//! tests/wasm.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use harness::outgoing::{OF_0_3, ROOMS, serve, serve_by};

/// Answers `ping` with `pong`, by TCP; gives its port.
fn ponging() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut ping = [0; 4];
            if stream.read_exact(&mut ping).is_ok() && &ping == b"ping" {
                let _ = stream.write_all(b"pong");
            }
        }
    });
    port
}

/// The same by UDP, for one datagram.
fn ponging_by_udp() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut ping = [0; 100];
        let (_, from) = socket.recv_from(&mut ping).unwrap();
        // Nobody granted this one, so nobody is to hear it.
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"forged", from).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        socket.send_to(b"pong", from).unwrap();
    });
    port
}

#[test]
fn sockets_lead_where_is_granted_and_nowhere_else() {
    let (tcp, other, udp) = (ponging(), ponging(), ponging_by_udp());
    let grants = [format!("127.0.0.1:{tcp}"), format!("127.0.0.1:{udp}")];
    let (_folder, nexus) = serve("sockets.wasm", &[&grants[0], &grants[1]], "");
    let text = |path: &str| nexus.get("app", path).text();
    assert_eq!(text(&format!("/talk/127.0.0.1:{tcp}")), "pong");
    assert_eq!(text(&format!("/udp/127.0.0.1:{udp}")), "pong");
    let denied = nexus.get("app", &format!("/talk/127.0.0.1:{other}"));
    assert!(denied.text().ends_with(": access-denied"), "{}", denied.text());
    let line = nexus.message(&format!("denied: a connection to 127.0.0.1:{other} is not granted"));
    assert_eq!(line["request_id"], denied.header("x-request-id").unwrap());
    assert!(line["message"].as_str().unwrap().contains(&format!("net = [\"127.0.0.1:{other}\"]")), "{line}");
    assert_eq!(text(&format!("/udp/127.0.0.1:{other}")), "send: access-denied");
    nexus.await_metric("nexus_subrequests_total{app=\"app\",result=\"denied\"}", 2.0);
    // Nobody listens, and nobody takes a port.
    for path in ["/listen/0.0.0.0:0", "/listen/127.0.0.1:0", "/listen/0.0.0.0:8099"] {
        assert!(text(path).ends_with(": access-denied"), "{path}: {}", text(path));
    }
}

#[test]
fn names_are_looked_up_that_are_granted() {
    let port = ponging();
    let (_folder, nexus) =
        serve("sockets.wasm", &[&format!("localhost:{port}")], "[limits]\nsubrequests = 2\n");
    let text = |path: &str| nexus.get("app", path).text();
    assert_eq!(text("/look-up/localhost"), "127.0.0.1");
    assert_eq!(text(&format!("/reach/localhost:{port}")), "connected");
    assert!(text("/reach/localhost:9").ends_with(": access-denied"));
    nexus.message("net = [\"localhost:9\"]");
    // An address is its own.
    assert_eq!(text("/look-up/10.0.0.1"), "10.0.0.1");
    assert_eq!(text("/look-up/secret.example.com"), "look-up: access-denied");
    nexus.message("denied: a look-up of secret.example.com is not granted; to ask for it, add `net = [\"secret.example.com\"]`");
    assert_eq!(text("/look-up/0x7f.1"), "look-up: invalid-argument");
}

#[test]
fn without_a_grant_there_are_no_sockets() {
    let port = ponging();
    let (_folder, nexus) = serve("sockets.wasm", &[], "");
    assert_eq!(nexus.get("app", &format!("/connect/127.0.0.1:{port}")).text(), "create: access-denied");
    nexus.message("denied: a socket: this app may connect nowhere");
    assert_eq!(nexus.get("app", "/look-up/localhost").text(), "look-up: access-denied");
    nexus.await_metric("nexus_subrequests_total{app=\"app\",result=\"denied\"}", 2.0);
}

/// Accepts connections, and counts those that are open.
struct Open {
    port: u16,
    open: Arc<AtomicUsize>,
}

impl Open {
    /// With these bytes for each, which is closed after them if there are some.
    fn new(bytes: &'static [u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let open = Arc::<AtomicUsize>::default();
        let counted = open.clone();
        std::thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                if !bytes.is_empty() {
                    stream.write_all(bytes).unwrap();
                    continue;
                }
                counted.fetch_add(1, Ordering::SeqCst);
                let counted = counted.clone();
                std::thread::spawn(move || {
                    let _ = stream.read(&mut [0; 1]);
                    counted.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { port, open }
    }

    /// Waits until all are closed, which is long before their app falls asleep.
    fn await_none(&self) {
        let since = Instant::now();
        while self.open.load(Ordering::SeqCst) > 0 {
            assert!(since.elapsed() < Duration::from_secs(10), "some are still open");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn an_instance_has_no_more_sockets_than_a_limit() {
    let (_folder, nexus) = serve("sockets.wasm", &["127.0.0.1:9"], "[limits]\ncpu = \"10 s\"\n");
    // What the first had is given back.
    for _ in 0..3 {
        assert_eq!(nexus.get("app", "/hoard/1000").text(), "128 sockets, then new-socket-limit");
    }
    nexus.await_nothing_held("app");
}

#[test]
fn a_worker_has_no_more_sockets_than_its_share_of_the_processs_descriptors() {
    // 240 for connections, half of them for those that lead out, and one worker whose guest may connect.
    let manifest = "[limits]\ncpu = \"10 s\"\n[scale]\nworkers = 1\n";
    let launcher = ["sh", "-c", "ulimit -n 256; exec \"$@\"", "sh"];
    let (_folder, nexus) = serve_by("sockets.wasm", &["127.0.0.1"], manifest, "", &launcher);
    for _ in 0..3 {
        assert_eq!(nexus.get("app", "/hoard/1000").text(), "120 sockets, then new-socket-limit");
    }
    nexus.message("a socket was refused: the host has no file descriptor to spare for another socket");
    // Those of requests whose clients leave in the middle are given back as well.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let path = format!("/udp/127.0.0.1:{}", silent.local_addr().unwrap().port());
    for _ in 0..5 {
        let mut leaving = nexus.client("app");
        leaving.send_request("GET", &path, &[], b"");
        silent.recv_from(&mut [0; 10]).unwrap();
        drop(leaving);
    }
    nexus.await_nothing_held("app");
    assert_eq!(nexus.get("app", "/hoard/1000").text(), "120 sockets, then new-socket-limit");
    assert_eq!(nexus.get("quiet", "/").text(), "quiet");
}

#[test]
fn an_instance_that_holds_a_socket_serves_no_other_request() {
    let server = Open::new(b"");
    let manifest = "[wasm]\nreuse = 100\n[scale]\nworkers = 1\n";
    let (_folder, nexus) = serve("sockets.wasm", &[&format!("127.0.0.1:{}", server.port)], manifest);
    let text = |path: &str| nexus.get("app", path).text();
    assert_eq!((text("/counter"), text("/counter")), ("1".into(), "2".into()));
    // It closes this one.
    assert_eq!(text(&format!("/connect/127.0.0.1:{}", server.port)), "connected");
    assert_eq!(text("/counter"), "4");
    assert_eq!(text(&format!("/keep/127.0.0.1:{}", server.port)), "connected");
    assert_eq!(text("/counter"), "1");
    server.await_none();
}

#[test]
fn a_socket_hears_nobody_to_whom_it_has_not_sent() {
    for (guest, manifest, path) in
        [("sockets.wasm", "", "udp/127.0.0.1:"), ("p3-sockets.wasm", OF_0_3, "hear/")]
    {
        // Whoever forges the first answer is granted, but was not asked.
        let (_folder, nexus) = serve(guest, &["127.0.0.1"], manifest);
        assert_eq!(nexus.get("app", &format!("/{path}{}", ponging_by_udp())).text(), "pong", "{guest}");
    }
}

#[test]
fn sockets_of_0_3_are_counted_until_their_streams_end() {
    let (kept, closing) = (Open::new(b""), Open::new(b"hello"));
    let grants = [format!("127.0.0.1:{}", kept.port), format!("127.0.0.1:{}", closing.port)];
    let manifest = format!("{OF_0_3}[limits]\ncpu = \"10 s\"\nsubrequests = 1000\n");
    let (_folder, nexus) = serve("p3-sockets.wasm", &[&grants[0], &grants[1]], &manifest);
    for _ in 0..2 {
        let told = nexus.get("app", &format!("/streams/200/{}", kept.port)).text();
        assert_eq!(told, "128 streams: this instance has 128 sockets, the most that it may have");
        kept.await_none();
    }
    assert_eq!(nexus.get("app", &format!("/turns/300/{}", closing.port)).text(), "300 streams: none");
    nexus.await_nothing_held("app");
}

#[test]
fn an_instance_of_many_requests_keeps_no_socket_while_nobody_asks() {
    let (kept, closing) = (Open::new(b""), Open::new(b"hello"));
    let grants = [format!("127.0.0.1:{}", kept.port), format!("127.0.0.1:{}", closing.port)];
    let (_folder, nexus) = serve("p3-sockets.wasm", &[&grants[0], &grants[1]], ROOMS);
    for _ in 0..3 {
        assert_eq!(nexus.get("app", &format!("/streams/2/{}", kept.port)).text(), "2 streams: none");
        kept.await_none();
        assert_eq!(nexus.get("app", &format!("/turns/2/{}", closing.port)).text(), "2 streams: none");
    }
    nexus.await_nothing_held("app");
}

#[test]
fn look_ups_ask_the_hosts_name_servers_and_end_in_time_or_with_their_request() {
    for (guest, manifest, failed) in [
        ("sockets.wasm", "", "look-up: temporary-resolver-failure"),
        ("p3-sockets.wasm", OF_0_3, "ErrorCode::TemporaryResolverFailure"),
        ("p3-sockets.wasm", ROOMS, "ErrorCode::TemporaryResolverFailure"),
    ] {
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let config = format!("[outbound]\nname_servers = [\"{}\"]\n", silent.local_addr().unwrap());
        let manifest = format!("{manifest}[limits]\nconnect = \"300 ms\"\n");
        let grants = ["db.example:5432", "localhost:80"];
        let (_folder, nexus) = serve_by(guest, &grants, &manifest, &config, &[]);
        assert_eq!(nexus.get("app", "/look-up/db.example").text(), failed, "{guest}");
        // As it is meant, from the root.
        let mut query = [0; 512];
        silent.recv_from(&mut query).unwrap();
        assert_eq!(&query[12..24], b"\x02db\x07example\0");
        assert!(nexus.get("app", "/look-up/localhost").text().contains("127.0.0.1"));
        let mut leaving = nexus.client("app");
        leaving.send_request("GET", "/look-up/db.example", &[], b"");
        drop(leaving);
        nexus.await_nothing_held("app");
    }
}
