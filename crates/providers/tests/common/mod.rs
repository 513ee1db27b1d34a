//! What the tests have in common: a client with grants and limits, and peers that do what a test says.
#![allow(dead_code, clippy::unwrap_used)]

pub(crate) mod secure;

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use nexus_core::{App, AppName, Limit, Manifest, NetDenied, OutboundSection};
use nexus_guest::{
    Body, BodyError, BodySource, Capabilities, Deadlines, HeaderList, HttpClient, HttpError, NetSink,
    OutboundRequest, OutboundResponse, RequestId, SocketBudget,
};
use nexus_providers::Outbound;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::{LocalSet, spawn_local};

/// Runs a test as a worker would: on one thread, and not for ever.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = LocalSet::new();
    local.block_on(&runtime, async {
        tokio::time::timeout(Duration::from_secs(30), test).await.expect("the test hangs");
    });
}

/// Lets everything that is ready run.
pub(crate) async fn settle() {
    tokio::time::sleep(Duration::from_millis(30)).await;
}

#[derive(Default)]
pub(crate) struct Told {
    pub(crate) denied: RefCell<Vec<NetDenied>>,
    pub(crate) warned: RefCell<Vec<String>>,
    pub(crate) sent: RefCell<Vec<Option<HttpError>>>,
    pub(crate) dropped: Cell<usize>,
    budget: Arc<Budget>,
}

#[derive(Default)]
struct Budget {
    is_spent: AtomicBool,
    open: AtomicUsize,
}

impl Told {
    /// Has the process a descriptor to spare, or none.
    pub(crate) fn starve(&self, is_spent: bool) {
        self.budget.is_spent.store(is_spent, Ordering::Relaxed);
    }

    /// Sockets that are open.
    pub(crate) fn open(&self) -> usize {
        self.budget.open.load(Ordering::Relaxed)
    }
}

impl SocketBudget for Budget {
    fn may_open(&self) -> bool {
        !self.is_spent.load(Ordering::Relaxed)
    }

    fn opened(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    fn closed(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl NetSink for Told {
    fn denied(&self, _: Option<RequestId>, denied: &NetDenied) {
        self.denied.borrow_mut().push(denied.clone());
    }

    fn warned(&self, _: Option<RequestId>, message: &str) {
        self.warned.borrow_mut().push(message.to_owned());
    }

    fn sent(&self, error: Option<&HttpError>) {
        self.sent.borrow_mut().push(error.cloned());
    }

    fn dropped(&self) {
        self.dropped.set(self.dropped.get() + 1);
    }

    fn sockets(&self) -> Arc<dyn SocketBudget> {
        self.budget.clone()
    }
}

pub(crate) struct Client {
    pub(crate) http: Rc<dyn HttpClient>,
    pub(crate) told: Rc<Told>,
}

/// A client whose app has these grants and limits.
pub(crate) fn client_with(config: &OutboundSection, grants: &[&str], limits: &[(Limit, u64)]) -> Client {
    let mut manifest = asking_for(grants);
    for (limit, number) in limits {
        manifest.limits.set(*limit, *number);
    }
    client_of(config, manifest)
}

/// A manifest of the app `test` that asks for these hosts.
pub(crate) fn asking_for(grants: &[&str]) -> Manifest {
    let mut manifest = Manifest::default_named(AppName::parse("test").unwrap());
    manifest.permissions.net.asked = grants.iter().map(|grant| grant.parse().unwrap()).collect();
    manifest
}

/// A client of the app with this manifest.
pub(crate) fn client_of(config: &OutboundSection, manifest: Manifest) -> Client {
    let outbound: Arc<dyn Capabilities> = Outbound::new(config).unwrap();
    let app = App { folder: "/nowhere".into(), manifest, main: None };
    let told = Rc::new(Told::default());
    Client { http: outbound.http(&app, told.clone()), told }
}

pub(crate) fn client(limits: &[(Limit, u64)]) -> Client {
    client_with(&OutboundSection::default(), &["127.0.0.1", "localhost"], limits)
}

pub(crate) fn request(method: &'static str, url: &str, body: Body) -> OutboundRequest {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (authority, target) = rest.split_once('/').unwrap();
    let secure = scheme == "https";
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().unwrap()),
        None => (authority, if secure { 443 } else { 80 }),
    };
    OutboundRequest {
        sender: None,
        depth: 0,
        method: method.into(),
        secure,
        host: host.parse().unwrap(),
        port,
        target: format!("/{target}"),
        headers: HeaderList::new(),
        body,
        deadlines: Deadlines::default(),
    }
}

impl Client {
    pub(crate) async fn send(&self, request: OutboundRequest) -> Result<OutboundResponse, HttpError> {
        self.http.send(request).await
    }

    pub(crate) async fn get(&self, url: &str) -> Result<OutboundResponse, HttpError> {
        self.send(request("GET", url, Body::Empty)).await
    }

    /// The whole body of a GET.
    pub(crate) async fn text(&self, url: &str) -> String {
        let (text, end) = read(self.get(url).await.unwrap().body).await;
        end.unwrap();
        text
    }
}

/// The next chunk of a body.
pub(crate) async fn chunk(body: &mut Body) -> Option<Result<Bytes, BodyError>> {
    match body {
        Body::Empty => None,
        Body::Full(bytes) if bytes.is_empty() => None,
        Body::Full(bytes) => Some(Ok(std::mem::take(bytes))),
        Body::Stream(source) => std::future::poll_fn(|cx| source.poll_chunk(cx)).await,
    }
}

/// What came of a body, and how it ended.
pub(crate) async fn read(mut body: Body) -> (String, Result<(), BodyError>) {
    let mut all = Vec::new();
    loop {
        match chunk(&mut body).await {
            Some(Ok(chunk)) => all.extend_from_slice(&chunk),
            Some(Err(error)) => return (String::from_utf8_lossy(&all).into_owned(), Err(error)),
            None => return (String::from_utf8_lossy(&all).into_owned(), Ok(())),
        }
    }
}

/// A peer: each connection is a task that does what the test says, told its number.
pub(crate) struct Peer {
    pub(crate) port: u16,
    pub(crate) connections: Rc<Cell<usize>>,
}

impl Peer {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

pub(crate) async fn peer<F: Future<Output = ()> + 'static>(
    serve: impl Fn(usize, TcpStream) -> F + 'static,
) -> Peer {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Rc::new(Cell::new(0));
    let counted = connections.clone();
    spawn_local(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let number = counted.get();
            counted.set(number + 1);
            spawn_local(serve(number, stream));
        }
    });
    Peer { port, connections }
}

/// A peer that answers each request of each connection with these bytes.
pub(crate) async fn answering(answer: impl Into<Vec<u8>>) -> Peer {
    let answer: Rc<Vec<u8>> = Rc::new(answer.into());
    peer(move |_, mut stream| {
        let answer = answer.clone();
        async move {
            while head(&mut stream).await.is_some() {
                stream.write_all(&answer).await.unwrap();
            }
        }
    })
    .await
}

/// A peer that answers the first request of each connection with these bytes and closes.
pub(crate) async fn closing(answer: impl Into<Vec<u8>>) -> Peer {
    let answer: Rc<Vec<u8>> = Rc::new(answer.into());
    peer(move |_, mut stream| {
        let answer = answer.clone();
        async move {
            head(&mut stream).await;
            let _ = stream.write_all(&answer).await;
        }
    })
    .await
}

/// The head of the next request.
pub(crate) async fn head(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap())
}

pub(crate) async fn say(stream: &mut (impl AsyncWrite + Unpin), text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
}

/// Waits until the other end has closed.
pub(crate) async fn closed(stream: &mut (impl AsyncRead + Unpin)) {
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
}

/// A name server that answers with what the test says for each query of an IPv4 address, and counts those.
pub(crate) async fn name_server(
    answer: impl Fn(usize) -> Vec<IpAddr> + 'static,
) -> (SocketAddr, Rc<Cell<usize>>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let queries = Rc::new(Cell::new(0));
    let counted = queries.clone();
    spawn_local(async move {
        let mut query = [0; 1500];
        loop {
            let (length, from) = socket.recv_from(&mut query).await.unwrap();
            let end = 12 + query[12..length].iter().position(|byte| *byte == 0).unwrap() + 5;
            let is_a = query[end - 4..end - 2] == [0, 1];
            let ips = if is_a { answer(counted.get()) } else { Vec::new() };
            counted.set(counted.get() + usize::from(is_a));
            let mut reply = query[..2].to_vec();
            reply.extend_from_slice(&[0x81, 0x80, 0, 1, 0, ips.len() as u8, 0, 0, 0, 0]);
            reply.extend_from_slice(&query[12..end]);
            for ip in ips {
                let IpAddr::V4(ip) = ip else { panic!("only IPv4") };
                // No time to live: each look-up asks.
                reply.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
                reply.extend_from_slice(&ip.octets());
            }
            socket.send_to(&reply, from).await.unwrap();
        }
    });
    (address, queries)
}

/// A body that a test feeds and watches.
pub(crate) struct Source {
    pub(crate) chunks: Box<dyn FnMut() -> Option<Result<Bytes, BodyError>>>,
    pub(crate) length: Option<u64>,
}

impl BodySource for Source {
    fn poll_chunk(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Bytes, BodyError>>> {
        std::task::Poll::Ready((self.chunks)())
    }

    fn exact_length(&self) -> Option<u64> {
        self.length
    }
}
