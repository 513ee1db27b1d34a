//! Connections of a thread that is lost in the middle of a guest's turn.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use nexus_core::Limit;
use nexus_guest::{Failure, FailureKind, RequestId};

use super::super::testing::{get, on_this_thread, post, server};
use super::super::{Abandoned, Listener, OpenConnections, ServerConfig, serve};
use crate::descriptors::Descriptors;

/// Longer than anything here takes.
const TOO_LONG: Duration = Duration::from_secs(20);

struct Lost {
    address: SocketAddr,
    open: Arc<AtomicUsize>,
    connections: Arc<OpenConnections>,
    /// Told when the turn has begun that loses the thread.
    begun: mpsc::Receiver<()>,
}

/// A server on a thread that stays parked, once it is lost, to the end of the process.
fn serve_on_a_thread(descriptors: &'static Descriptors) -> Lost {
    let (told, starting) = mpsc::channel();
    std::thread::spawn(move || {
        on_this_thread(async {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let (service, server) = server(ServerConfig { descriptors, ..ServerConfig::default() });
            let address = listener.local_addr().unwrap();
            let (begins, begun) = mpsc::channel();
            service.turn.replace(Some(begins));
            let (open, connections) = (server.open.clone(), server.connections.clone());
            told.send(Lost { address, open, connections, begun }).unwrap();
            serve(Listener::Tcp(&listener), server).await.unwrap();
        });
    });
    starting.recv().unwrap()
}

impl Lost {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(TOO_LONG)).unwrap();
        stream
    }

    fn send(&self, request: &str) -> TcpStream {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        stream
    }

    /// Answers for the thread, from another one, once its last turn has begun.
    fn abandon(&self) -> Abandoned {
        self.connections.abandon(&Failure::at_limit(FailureKind::Stopped, Limit::Memory, 1 << 20))
    }

    fn until_open(&self, count: usize) {
        let start = Instant::now();
        while self.open.load(Ordering::Relaxed) != count {
            assert!(
                start.elapsed() < TOO_LONG,
                "{} are open, not {count}",
                self.open.load(Ordering::Relaxed)
            );
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// All that comes until the end; a reset counts as one, a connection that hangs does not.
fn rest(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => all.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&all)),
        }
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// Reads a response with a body of 5 bytes.
fn hello(stream: &mut TcpStream) {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n\r\nhello") {
        stream.read_exact(&mut byte).unwrap();
        text.push(byte[0]);
    }
}

fn assert_is_answer(answer: &str, id: Option<&str>) {
    assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{answer:?}");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, "the app was stopped while it handled this request (limit: memory 1 MB)\n");
    assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
    assert!(head.contains("connection: close") && head.contains("x-request-id: "), "{head}");
    if let Some(id) = id {
        assert!(head.contains(&format!("x-request-id: {id}")), "{head}");
    }
}

#[test]
fn whoever_waits_for_a_response_gets_503_and_nobody_hangs() {
    static DESCRIPTORS: Descriptors = Descriptors::new(100);
    let lost = serve_on_a_thread(&DESCRIPTORS);
    let with_id =
        |path: &str, id: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\nX-Request-Id: {id}\r\n\r\n");

    let mut waiting = lost.send(&with_id("/hold", "waiting"));
    let mut uploading =
        lost.send(&(post("/hold", "Content-Length: 1000000\r\nX-Request-Id: uploading") + "part"));
    let mut streaming = lost.send(&get("/stream"));
    let mut served = lost.send(&get("/hello"));
    hello(&mut served);
    let mut served_again = lost.send(&get("/hello"));
    hello(&mut served_again);
    served_again.write_all(with_id("/hold", "again").as_bytes()).unwrap();
    let mut half = lost.send("GET /half HTTP/1.1\r\n");
    let mut http2 = lost.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    let mut silent = lost.connect();
    lost.until_open(8);
    // The loop has read all of these when it has answered one that came after them.
    hello(&mut lost.send(&get("/hello")));
    hello(&mut lost.send(&get("/hello")));
    lost.until_open(8);

    let mut loser = lost.send(&with_id("/lose", "loser"));
    lost.begun.recv_timeout(TOO_LONG).unwrap();
    let abandoned = lost.abandon();
    assert_is_answer(&rest(&mut loser), Some("loser"));
    assert_is_answer(&rest(&mut waiting), Some("waiting"));
    assert_is_answer(&rest(&mut uploading), Some("uploading"));
    assert_is_answer(&rest(&mut served_again), Some("again"));
    let streamed = rest(&mut streaming);
    assert!(streamed.starts_with("HTTP/1.1 200 OK") && !streamed.contains("503"), "{streamed}");
    assert!(!streamed.ends_with("0\r\n\r\n"), "it does not look complete");
    for idle in [&mut served, &mut half, &mut silent] {
        assert_eq!(rest(idle), "");
    }
    let frames = rest(&mut http2);
    assert!(!frames.contains("HTTP/1.1"), "{frames:?}");

    let mut answered: Vec<_> = abandoned.answered.iter().map(RequestId::to_string).collect();
    answered.sort();
    assert_eq!(answered, ["again", "loser", "uploading", "waiting"]);
    assert!(lost.abandon().answered.is_empty(), "nobody is answered twice");
    abandoned.linger();
    // Its descriptors are closed by then, and its share is the others'.
    lost.until_open(0);
    let shared = format!("{DESCRIPTORS:?}");
    assert!(shared.contains("open: 0") && shared.contains("sharers: 0"), "{shared}");
}

#[test]
fn a_request_that_came_while_the_guest_computed_is_answered_too() {
    static DESCRIPTORS: Descriptors = Descriptors::new(100);
    let lost = serve_on_a_thread(&DESCRIPTORS);
    let mut early = lost.send(&get("/hello"));
    hello(&mut early);
    // Its second request comes while the thread is in the guest's turn.
    let mut loser = lost.send(&get("/lose"));
    lost.begun.recv_timeout(TOO_LONG).unwrap();
    early.write_all(get("/hello").as_bytes()).unwrap();
    let _abandoned = lost.abandon();
    assert_is_answer(&rest(&mut early), None);
    assert_is_answer(&rest(&mut loser), None);
}
