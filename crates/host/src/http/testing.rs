//! A service and a client for tests over real sockets.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use bytes::Bytes;
use nexus_guest::{
    Body, BodyError, BodyWriter, FailureKind, HeaderList, PipeState, Reply, Request, RequestId, Responder,
    exchange, pipe,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use tokio::time::timeout;

use super::{
    Call, CallOwner, Inbox, Listener, OpenConnections, Outcome, Refused, Server, ServerConfig, Service,
    Shutdown, serve,
};

/// Longer than anything here takes; a test that comes to it fails.
const TOO_LONG: Duration = Duration::from_secs(20);

/// A deadline that a test waits for.
pub(super) const SOON: Duration = Duration::from_millis(100);

/// A service that answers by path, and remembers what it saw.
#[derive(Default)]
pub(super) struct TestService {
    pub(super) outcomes: RefCell<Vec<Outcome>>,
    pub(super) refusals: RefCell<Vec<Refused>>,
    /// How bodies ended that were read whole: their length, or what was wrong.
    pub(super) bodies: Rc<RefCell<Vec<Result<u64, BodyError>>>>,
    /// What `/hold` was asked, unanswered.
    pub(super) held: RefCell<Vec<(Request, Responder)>>,
    /// The writing ends of what `/stream` answered.
    pub(super) streams: RefCell<Vec<(BodyWriter, Responder)>>,
    /// Bytes that `/endless` has given out.
    pub(super) given: Rc<Cell<u64>>,
    pub(super) calls: Cell<u64>,
    /// `/lose` says that its turn has begun, and loses its thread: it parks, for others to answer its clients.
    pub(super) turn: RefCell<Option<mpsc::Sender<()>>>,
    ended: Cell<u64>,
    ids: Cell<u128>,
}

impl Service for TestService {
    fn call(self: Rc<Self>, request: Request) -> Call {
        let (responder, pending) = exchange();
        let is_last = request.url.ends_with("/last");
        self.clone().handle(request, responder);
        self.calls.set(self.calls.get() + 1);
        let call = Call::new(pending, self.clone(), self.calls.get());
        if is_last { call.last() } else { call }
    }

    fn refused(&self, refused: Refused) {
        self.refusals.borrow_mut().push(refused);
    }

    fn next_request_id(&self) -> RequestId {
        self.ids.set(self.ids.get() + 1);
        RequestId::from_u128(self.ids.get())
    }

    fn accept_failed(&self, error: &io::Error) {
        panic!("{error}");
    }
}

impl CallOwner for TestService {
    fn ended(&self, _: u64, outcome: Outcome) {
        self.ended.set(self.ended.get() + 1);
        self.outcomes.borrow_mut().push(outcome);
    }
}

/// Reads a body to its end.
pub(super) async fn read_all(body: Body) -> Result<Vec<u8>, BodyError> {
    match body {
        Body::Empty => Ok(Vec::new()),
        Body::Full(bytes) => Ok(bytes.to_vec()),
        Body::Stream(mut source) => {
            let mut all = Vec::new();
            while let Some(chunk) = poll_fn(|cx| source.poll_chunk(cx)).await {
                all.extend_from_slice(&chunk?);
            }
            Ok(all)
        }
    }
}

impl TestService {
    fn handle(self: Rc<Self>, request: Request, responder: Responder) {
        let path = request.url.splitn(4, '/').nth(3).unwrap_or_default().to_owned();
        let text = |text: &str| Reply {
            status: 200,
            headers: [("content-type", "text/plain")].into_iter().collect(),
            body: Body::Full(Bytes::from(text.to_owned())),
        };
        match path.as_str() {
            "hello" | "last" => responder.send(Ok(text("hello"))),
            "empty" => responder.send(Ok(Reply { status: 204, ..Reply::default() })),
            "large" => responder.send(Ok(text(&"x".repeat(20 << 20)))),
            "fail" => responder.send(Err(FailureKind::Threw.into())),
            "drop" => drop(responder),
            "panic" => panic!("as the test asked"),
            "info" => responder.send(Ok(text(&format!("{request:?}")))),
            "echo" => {
                responder.send(Ok(Reply { status: 200, headers: HeaderList::new(), body: request.body }))
            }
            "hold" => self.held.borrow_mut().push((request, responder)),
            "stream" => {
                let (writer, body) = pipe(1024, None);
                responder.send(Ok(Reply { status: 200, headers: HeaderList::new(), body }));
                self.streams.borrow_mut().push((writer, responder));
            }
            "endless" => {
                let (writer, body) = pipe(64 * 1024, None);
                responder.send(Ok(Reply { status: 200, headers: HeaderList::new(), body }));
                let given = self.given.clone();
                spawn_local(async move {
                    while writer.room().await == PipeState::Room {
                        writer.write(Bytes::from(vec![b'x'; 32 * 1024]));
                        given.set(given.get() + 32 * 1024);
                    }
                });
            }
            "lose" => {
                if let Some(begun) = self.turn.take() {
                    begun.send(()).unwrap();
                }
                loop {
                    std::thread::park();
                }
            }
            // Answers when it has read the body, with its length.
            "count" => {
                let bodies = self.bodies.clone();
                spawn_local(async move {
                    let end = read_all(request.body).await.map(|all| all.len() as u64);
                    if let Ok(length) = &end {
                        responder.send(Ok(text(&length.to_string())));
                    }
                    bodies.borrow_mut().push(end);
                    // Left unanswered until the connection has seen the body's fault.
                    tokio::time::sleep(SOON).await;
                });
            }
            // Begins a stream, reads the body, and then says how long it was.
            "stream-then-count" => {
                let (writer, body) = pipe(1024, None);
                responder.send(Ok(Reply { status: 200, headers: HeaderList::new(), body }));
                spawn_local(async move {
                    if let Ok(all) = read_all(request.body).await {
                        writer.write(all.len().to_string().into());
                        writer.finish();
                    }
                });
            }
            // Answers at once and reads the body afterwards.
            "later" => {
                responder.send(Ok(text("early")));
                let bodies = self.bodies.clone();
                spawn_local(async move {
                    tokio::time::sleep(SOON).await;
                    let end = read_all(request.body).await.map(|all| all.len() as u64);
                    bodies.borrow_mut().push(end);
                });
            }
            other => responder.send(Ok(Reply { status: 404, ..text(other) })),
        }
    }

    /// Waits until `ready`.
    pub(super) async fn until(&self, ready: impl Fn(&Self) -> bool) {
        let wait = async {
            while !ready(self) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(TOO_LONG, wait).await.expect("what the test waits for happens");
    }

    /// Waits for the end of a call; there must be no other.
    pub(super) async fn outcome(&self) -> Outcome {
        self.until(|service| !service.outcomes.borrow().is_empty()).await;
        self.outcomes.borrow_mut().remove(0)
    }
}

/// A server under test.
pub(super) struct Harness {
    pub(super) address: SocketAddr,
    pub(super) service: Rc<TestService>,
    pub(super) shutdown: Shutdown,
    pub(super) open: Arc<AtomicUsize>,
    pub(super) serving: JoinHandle<()>,
}

impl Harness {
    /// A fresh connection.
    pub(super) async fn connect(&self) -> Client {
        Client { stream: TcpStream::connect(self.address).await.unwrap(), buffer: Vec::new() }
    }

    /// One request over a fresh connection, to its end.
    pub(super) async fn ask(&self, request: &str) -> String {
        let mut client = self.connect().await;
        client.send(request).await;
        client.rest().await
    }
}

pub(super) fn server(config: ServerConfig) -> (Rc<TestService>, Server) {
    let service = Rc::new(TestService::default());
    let open = Arc::new(AtomicUsize::new(0));
    let connections: Arc<OpenConnections> = Arc::default();
    let (shutdown, inbox) = (Shutdown::new(), Inbox::new());
    let server = Server { service: service.clone(), config, shutdown, open, connections, inbox };
    (service, server)
}

/// Runs `work` on a loop of this thread.
pub(super) fn on_this_thread(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, work);
}

/// Runs `test` on a loop of this thread, and not for ever.
pub(super) fn on_a_loop(test: impl Future<Output = ()>) {
    on_this_thread(async { timeout(TOO_LONG, test).await.expect("the test ends") });
}

/// Runs `test` against a server. Afterwards the server stops, no connection is open, and each call has
/// ended exactly once.
pub(super) fn with_server(config: ServerConfig, test: impl AsyncFnOnce(&Harness)) {
    on_a_loop(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (service, server) = server(config);
        let (shutdown, open) = (server.shutdown.clone(), server.open.clone());
        let serving = spawn_local(async move { serve(Listener::Tcp(&listener), server).await.unwrap() });
        let harness = Harness { address, service, shutdown, open, serving };
        test(&harness).await;

        let Harness { service, shutdown, open, serving, .. } = harness;
        service.held.borrow_mut().clear();
        service.streams.borrow_mut().clear();
        shutdown.begin();
        // Aborted by the test, at worst.
        let _ = serving.await;
        assert_eq!(open.load(Ordering::Relaxed), 0);
        service.until(|service| service.ended.get() == service.calls.get()).await;
    });
}

/// A client that speaks HTTP/1.1 by hand.
pub(super) struct Client {
    pub(super) stream: TcpStream,
    buffer: Vec<u8>,
}

/// A response, its chunks put together.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

impl Client {
    pub(super) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Whatever comes until the server closes. A reset counts as a close.
    pub(super) async fn rest(&mut self) -> String {
        let mut all = std::mem::take(&mut self.buffer);
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = self.stream.read(&mut buffer).await {
            all.extend_from_slice(&buffer[..count]);
        }
        String::from_utf8(all).unwrap()
    }

    /// Reads up to and with `end`.
    pub(super) async fn until(&mut self, end: &str) -> String {
        loop {
            if let Some(at) = self.buffer.windows(end.len()).position(|window| window == end.as_bytes()) {
                let taken = self.buffer.drain(..at + end.len()).collect();
                return String::from_utf8(taken).unwrap();
            }
            assert_ne!(self.stream.read_buf(&mut self.buffer).await.unwrap(), 0, "closed before {end:?}");
        }
    }

    async fn exactly(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count {
            assert_ne!(self.stream.read_buf(&mut self.buffer).await.unwrap(), 0, "closed in a body");
        }
        self.buffer.drain(..count).collect()
    }

    /// The next response's head, and no body.
    pub(super) async fn head(&mut self) -> Answer {
        let head = self.until("\r\n\r\n").await;
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head, body: Vec::new() }
    }

    /// The next response.
    pub(super) async fn answer(&mut self) -> Answer {
        let mut answer = self.head().await;
        if let Some(length) = answer.field("content-length") {
            answer.body = self.exactly(length.parse().unwrap()).await;
        } else if answer.field("transfer-encoding") == Some("chunked") {
            loop {
                let size = self.until("\r\n").await;
                let size = usize::from_str_radix(size.trim_end(), 16).unwrap();
                let chunk = self.exactly(size).await;
                answer.body.extend(chunk);
                assert_eq!(self.exactly(2).await, b"\r\n");
                if size == 0 {
                    break;
                }
            }
        }
        answer
    }

    /// A GET, and its response.
    pub(super) async fn get(&mut self, path: &str) -> Answer {
        self.send(get(path)).await;
        self.answer().await
    }
}

/// A GET request.
pub(super) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")
}

/// The start of a POST request with more fields.
pub(super) fn post(path: &str, fields: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: test\r\n{fields}\r\n\r\n")
}
