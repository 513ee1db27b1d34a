//! The host with an engine that is not V8: all that the two say to each other goes through `nexus-guest`.
#![allow(missing_docs, clippy::unwrap_used)]

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures_util::future::LocalBoxFuture;
use nexus_core::{App, HostConfig};
use nexus_guest::{
    Body, Engine, Guest, HeaderList, Level, LoadError, Reply, Request, Responder, Services, Stop, StopReason,
    Stopper, Ticket, Usage,
};
use nexus_host::log::{Format, LogConfig, Logger};
use nexus_host::{Host, Options, discover};

/// Guests that answer with what the request's path asks for.
#[derive(Default)]
struct Parrot {
    /// How many guests were made.
    loaded: Arc<AtomicUsize>,
    /// Whether loading a guest keeps its thread to itself.
    blocks: Arc<AtomicBool>,
    /// How many requests were aborted.
    aborted: Arc<AtomicUsize>,
    /// How many wait for good.
    waiting: Arc<AtomicUsize>,
}

impl Engine for Parrot {
    fn name(&self) -> &'static str {
        "parrot"
    }

    fn runs(&self, main: &str) -> bool {
        main.ends_with(".js")
    }

    fn load(
        &self,
        _app: Arc<App>,
        services: Services,
    ) -> LocalBoxFuture<'static, Result<Rc<dyn Guest>, LoadError>> {
        let number = self.loaded.fetch_add(1, Ordering::SeqCst) + 1;
        let (aborted, waiting) = (self.aborted.clone(), self.waiting.clone());
        let blocks = self.blocks.clone();
        Box::pin(async move {
            while blocks.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(1));
            }
            let main =
                services.modules.read(&nexus_guest::ModulePath::new("index.js").unwrap(), 1 << 20).unwrap();
            if main.starts_with(b"broken") {
                return Err(LoadError::new("this parrot is broken"));
            }
            Ok(Rc::new(ParrotGuest { number, aborted, waiting, inner: RefCell::default() }) as Rc<dyn Guest>)
        })
    }
}

struct ParrotGuest {
    number: usize,
    aborted: Arc<AtomicUsize>,
    waiting: Arc<AtomicUsize>,
    inner: RefCell<Inner>,
}

#[derive(Default)]
struct Inner {
    waiting: Vec<Responder>,
    stop: Option<Stop>,
    waker: Option<Waker>,
}

impl Guest for ParrotGuest {
    fn request(&self, request: Request, responder: Responder) -> Ticket {
        let mut inner = self.inner.borrow_mut();
        if request.url.ends_with("/wait") {
            inner.waiting.push(responder);
            self.waiting.fetch_add(1, Ordering::SeqCst);
        } else if request.url.ends_with("/stop") {
            inner.waiting.push(responder);
            inner.stop = Some(Stop { reason: StopReason::Cpu, limit: None, detail: "on request".into() });
            if let Some(waker) = &inner.waker {
                waker.wake_by_ref();
            }
        } else {
            let body =
                format!("guest {} {}", self.number, request.url.rsplit('/').next().unwrap_or_default());
            let headers = HeaderList::from_iter([("content-type", "text/plain")]);
            responder.send(Ok(Reply { status: 200, headers, body: Body::Full(body.into()) }));
        }
        Ticket(7)
    }

    fn abort(&self, ticket: Ticket) {
        assert_eq!(ticket, Ticket(7));
        self.aborted.fetch_add(1, Ordering::SeqCst);
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<Stop> {
        let mut inner = self.inner.borrow_mut();
        inner.waker = Some(cx.waker().clone());
        match inner.stop.take() {
            Some(stop) => {
                inner.waiting.clear();
                Poll::Ready(stop)
            }
            None => Poll::Pending,
        }
    }

    fn in_flight(&self) -> usize {
        self.inner.borrow().waiting.len()
    }

    fn usage(&self) -> Usage {
        Usage::default()
    }

    fn stopper(&self) -> Arc<dyn Stopper> {
        struct Deaf;
        impl Stopper for Deaf {
            fn stop(&self, _reason: StopReason) {}
            fn poke(&self) {}
        }
        Arc::new(Deaf)
    }
}

struct Temp(PathBuf);

impl Temp {
    fn new(apps: &[(&str, &str)]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("nexus-engine-{}-{number}", std::process::id()));
        for (app, main) in apps {
            std::fs::create_dir_all(folder.join(app)).unwrap();
            std::fs::write(folder.join(app).join("index.js"), main).unwrap();
        }
        Self(folder)
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn start(temp: &Temp, engine: Arc<Parrot>) -> Host {
    let mut config = HostConfig::default();
    config.listen.port = 0;
    let log = LogConfig { format: Format::Json, level: Level::Error, color: false };
    let apps = discover(&temp.0, &config).unwrap();
    Host::start(Options {
        config,
        apps,
        env: Vec::new(),
        engines: vec![engine],
        capabilities: Arc::new(nexus_guest::NoHttp),
        logger: Logger::start(log, Box::new(std::io::sink())).unwrap(),
        build: Vec::new(),
        watch: false,
        token: None,
    })
    .unwrap()
}

/// Asks over a connection that stays open; gives the status and the body.
fn ask(stream: &mut TcpStream, path: &str) -> (u16, String) {
    write!(stream, "GET /{path} HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
    answer(stream)
}

fn answer(stream: &mut TcpStream) -> (u16, String) {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        text.push(byte[0]);
    }
    let head = String::from_utf8(text).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    (head[9..12].parse().unwrap(), String::from_utf8(body).unwrap())
}

/// Waits until so many requests have come to guests that will not answer them.
fn until_waiting(waiting: &AtomicUsize, count: usize) {
    let start = Instant::now();
    while waiting.load(Ordering::SeqCst) < count {
        assert!(start.elapsed() < Duration::from_secs(20), "they do not come");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn connect(url: &str) -> TcpStream {
    let stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

#[tokio::test]
async fn a_guest_that_ends_fails_its_requests_and_a_fresh_one_serves_the_same_connections() {
    let temp = Temp::new(&[("a", ""), ("b", ""), ("broken", "broken")]);
    let engine = Arc::new(Parrot::default());
    let mut host = start(&temp, engine.clone());
    let states = host.started().await;
    assert!(states[2].serving.as_ref().unwrap_err().contains("this parrot is broken"));
    let urls: Vec<String> = states[..2].iter().map(|state| state.serving.clone().unwrap()).collect();
    let (loaded, asked) = (engine.loaded.clone(), engine.waiting.clone());
    tokio::task::spawn_blocking(move || {
        let (mut a, mut other, mut b) = (connect(&urls[0]), connect(&urls[0]), connect(&urls[1]));
        let (status, first) = ask(&mut a, "one");
        assert!(status == 200 && first.ends_with(" one"), "{first}");
        let before = loaded.load(Ordering::SeqCst);
        let neighbour = ask(&mut b, "x").1;

        // In flight on another connection when the guest ends.
        write!(other, "GET /wait HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
        until_waiting(&asked, 1);
        assert_eq!(ask(&mut a, "stop").0, 503);
        assert_eq!(answer(&mut other).0, 503);

        let (status, second) = ask(&mut a, "one");
        assert_eq!(status, 200);
        assert_ne!(first, second);
        assert_eq!(ask(&mut other, "one").1, second);
        assert_eq!(loaded.load(Ordering::SeqCst), before + 1);
        assert_eq!(ask(&mut b, "x").1, neighbour);
    })
    .await
    .unwrap();
    assert_eq!(host.stop(Duration::from_secs(10)).await, 0);
}

#[tokio::test]
async fn answers_to_what_an_ended_guest_had_in_flight_do_not_wait_for_the_next_guest() {
    let temp = Temp::new(&[("a", "")]);
    let engine = Arc::new(Parrot::default());
    let mut host = start(&temp, engine.clone());
    let url = host.started().await[0].serving.clone().unwrap();
    let (blocks, asked) = (engine.blocks.clone(), engine.waiting.clone());
    tokio::task::spawn_blocking(move || {
        let mut waiting: Vec<_> = (0..90).map(|_| connect(&url)).collect();
        for client in &mut waiting {
            write!(client, "GET /wait HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
        }
        until_waiting(&asked, 90);
        blocks.store(true, Ordering::SeqCst);
        let stopped = ask(&mut connect(&url), "stop").0;
        let others: Vec<_> = waiting.iter_mut().map(|client| answer(client).0).collect();
        blocks.store(false, Ordering::SeqCst);
        assert_eq!((stopped, others), (503, vec![503; 90]));
        assert_eq!(ask(&mut connect(&url), "one").0, 200);
    })
    .await
    .unwrap();
    assert_eq!(host.stop(Duration::from_secs(10)).await, 0);
}

#[tokio::test]
async fn a_client_that_leaves_is_told_to_the_guest_once() {
    let temp = Temp::new(&[("a", "")]);
    let engine = Arc::new(Parrot::default());
    let mut host = start(&temp, engine.clone());
    let url = host.started().await[0].serving.clone().unwrap();
    let aborted = engine.aborted.clone();
    tokio::task::spawn_blocking(move || {
        let mut stream = connect(&url);
        write!(stream, "GET /wait HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
        std::thread::sleep(Duration::from_millis(50));
        drop(stream);
        for _ in 0..1000 {
            if aborted.load(Ordering::SeqCst) > 0 {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(ask(&mut connect(&url), "x").0, 200);
        assert_eq!(aborted.load(Ordering::SeqCst), 1);
    })
    .await
    .unwrap();
    // The parrot still holds the request: the grace period ends before it does.
    assert_eq!(host.stop(Duration::from_millis(100)).await, 1);
}
