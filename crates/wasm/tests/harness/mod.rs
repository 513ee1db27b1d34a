//! A guest on the test's own thread, and a watchdog beside it as the host has one.
#![allow(dead_code, missing_docs, clippy::unwrap_used)] // Each test file uses a part.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::poll_fn;
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::Duration;

use nexus_core::{App, Limit, Limits, Manifest};
use nexus_guest::{
    Abandon, Body, ClientAddress, Engine, Failure, Guest, HeaderList, Level, LoadError, LogRecord, LogSink,
    ModuleError, ModulePath, ModuleSource, PendingReply, Request, RequestId, Services, Stop, StopSink,
    Ticket, Watch, exchange,
};
use nexus_wasm::{WasmConfig, WasmEngine};

pub(crate) mod shapes;

/// Far longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(60);
/// How often the watchdog looks.
const LOOK: Duration = Duration::from_millis(2);

/// One engine for all tests of the process, as in a host: its pool reserves terabytes of addresses.
static ENGINE: LazyLock<WasmEngine> = LazyLock::new(|| WasmEngine::new(WasmConfig::default()));

#[derive(Default)]
pub(crate) struct Log(RefCell<Vec<LogRecord>>);

impl LogSink for Log {
    fn wants(&self, _level: Level) -> bool {
        true
    }
    fn log(&self, record: LogRecord) {
        self.0.borrow_mut().push(record);
    }
}

struct Files(HashMap<String, Vec<u8>>);

impl ModuleSource for Files {
    fn resolve(&self, specifier: &str, referrer: &ModulePath) -> Result<ModulePath, ModuleError> {
        Err(ModuleError(format!("\"{specifier}\" is not there (imported by {referrer})")))
    }
    fn read(&self, path: &ModulePath, _most: usize) -> Result<Vec<u8>, ModuleError> {
        self.0.get(path.as_str()).cloned().ok_or_else(|| ModuleError(format!("\"{path}\" is not there")))
    }
}

struct Nobody;

impl Abandon for Nobody {
    fn abandon(&self, stop: Stop) {
        panic!("abandoned: {stop:?}");
    }
}

/// The requests that were stopped alone.
#[derive(Default)]
pub(crate) struct Stops(RefCell<Vec<(RequestId, Stop)>>);

impl StopSink for Stops {
    fn stopped(&self, request: RequestId, stop: &Stop) {
        self.0.borrow_mut().push((request, stop.clone()));
    }
}

/// Pokes a guest whose turn takes long.
struct Dog {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Dog {
    fn new(watch: Arc<Watch>) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let own = over.clone();
        let thread = std::thread::spawn(move || {
            let mut last = None;
            while !own.load(Ordering::Relaxed) {
                std::thread::sleep(LOOK);
                let turn = watch.turn();
                if turn.is_some() && turn == last {
                    watch.poke();
                }
                last = turn;
            }
        });
        Self { over, thread: Some(thread) }
    }
}

impl Drop for Dog {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// A guest on this thread.
pub(crate) struct TestGuest {
    pub(crate) guest: Rc<dyn Guest>,
    pub(crate) watch: Arc<Watch>,
    log: Rc<Log>,
    stops: Rc<Stops>,
    _dog: Dog,
}

/// What became of a request: the status and the body, or how it failed.
pub(crate) type Outcome = Result<(u16, String), Failure>;

/// Runs a test on a thread like a worker's, with an event loop.
pub(crate) fn on_worker<T: Send>(test: impl AsyncFnOnce() -> T + Send) -> T {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, test())
    };
    std::thread::scope(|scope| {
        // The stack of a worker's thread.
        let thread = std::thread::Builder::new().stack_size(2 << 20).spawn_scoped(scope, run).unwrap();
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// The guest of all tests, which does what the path says; its source is beside it.
pub(crate) fn http() -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/wasm/http.wasm")).unwrap()
}

/// Loads a file as the app's main one, with these limits beyond the defaults.
pub(crate) async fn load(file: Vec<u8>, limits: &[(Limit, u64)]) -> Result<TestGuest, LoadError> {
    let (log, stops, watch) = (Rc::<Log>::default(), Rc::<Stops>::default(), Arc::new(Watch::new()));
    let mut all = Limits::default();
    for (limit, value) in limits {
        all.set(*limit, *value);
    }
    let services = Services {
        bindings: Rc::new([]),
        secrets: Default::default(),
        log: log.clone(),
        modules: Rc::new(Files(HashMap::from([("app.wasm".to_owned(), file)]))),
        env: Rc::new([]),
        limits: all,
        watch: watch.clone(),
        abandon: Rc::new(Nobody),
        stops: stops.clone(),
        http: Rc::new(nexus_guest::NoHttp),
    };
    let app = App {
        folder: "/nowhere".into(),
        manifest: Manifest::default_for("test").unwrap(),
        main: Some("app.wasm".into()),
    };
    let guest = ENGINE.load(Arc::new(app), services).await?;
    Ok(TestGuest { guest, log, stops, _dog: Dog::new(watch.clone()), watch })
}

/// Loads a file; `Err` has the reason why that is not possible, which is one clear line.
pub(crate) fn try_load(file: Vec<u8>) -> Result<(), String> {
    on_worker(async || match load(file, &[]).await {
        Ok(_) => Ok(()),
        Err(error) => {
            let text = error.to_string();
            assert!(!text.trim().is_empty() && !text.contains(['\n', '\r']), "{text:?}");
            assert!(!text.contains("panicked"), "{text}");
            assert!(text.contains("app.wasm"), "it does not name the file: {text}");
            Err(text)
        }
    })
}

impl TestGuest {
    /// Sends a request with this number, from 0 to 9.
    pub(crate) fn start(&self, number: u8, path: &str, body: Body) -> (Ticket, PendingReply) {
        let (responder, pending) = exchange();
        let request = Request {
            id: id(number),
            method: if matches!(body, Body::Empty) { "GET" } else { "POST" }.into(),
            url: format!("http://localhost{path}"),
            headers: HeaderList::from_iter([("accept", "*/*")]),
            body,
            client: ClientAddress::Ip([127, 0, 0, 1].into(), Some(99)),
            event: Default::default(),
        };
        (self.guest.request(request, responder), pending)
    }

    /// Drives the guest until the future is done.
    pub(crate) async fn drive<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = std::pin::pin!(future);
        let driven = poll_fn(|cx| {
            if let Poll::Ready(stop) = self.guest.poll(cx) {
                panic!("the guest has ended: {stop:?}");
            }
            future.as_mut().poll(cx)
        });
        tokio::time::timeout(DEADLINE, driven).await.expect("an end in time")
    }

    /// The whole of a reply.
    pub(crate) async fn outcome(&self, pending: PendingReply) -> Outcome {
        let reply = self.drive(pending).await?;
        let mut text = Vec::new();
        match reply.body {
            Body::Empty => {}
            Body::Full(bytes) => text.extend_from_slice(&bytes),
            Body::Stream(mut source) => {
                while let Some(Ok(chunk)) = self.drive(poll_fn(|cx| source.poll_chunk(cx))).await {
                    text.extend_from_slice(&chunk);
                }
            }
        }
        Ok((reply.status, String::from_utf8_lossy(&text).into_owned()))
    }

    pub(crate) async fn get(&self, number: u8, path: &str) -> Outcome {
        let (_, pending) = self.start(number, path, Body::Empty);
        self.outcome(pending).await
    }

    /// Drives the guest until no request is left of it, and asserts that nothing else is.
    pub(crate) async fn assert_all_is_given_back(&self) {
        let over = poll_fn(|cx| {
            if self.guest.in_flight() == 0 {
                return Poll::Ready(());
            }
            let _ = self.guest.poll(cx);
            if self.guest.in_flight() == 0 { Poll::Ready(()) } else { Poll::Pending }
        });
        tokio::time::timeout(DEADLINE, over).await.expect("no request left");
        let usage = self.guest.usage();
        assert_eq!((usage.scopes, usage.heap_used), (0, 0), "{usage:?}");
        assert_eq!((usage.timers, usage.operations, self.watch.memory()), (0, 0, 0));
        assert_eq!(self.watch.turn(), None);
    }

    /// The stops that were told: which request, and the limit's key.
    pub(crate) fn stops(&self) -> Vec<(RequestId, &'static str)> {
        let key = |stop: &Stop| stop.limit.map_or("none", |(limit, _)| limit.key());
        self.stops.0.borrow().iter().map(|(request, stop)| (*request, key(stop))).collect()
    }

    pub(crate) fn messages(&self) -> Vec<String> {
        self.log.0.borrow().iter().map(|record| record.message.clone()).collect()
    }
}

/// The id of the request with this number.
pub(crate) fn id(number: u8) -> RequestId {
    RequestId::parse(format!("req-{number}").as_bytes()).unwrap()
}

/// A figure of the process's own, in bytes: `VmRSS` or `VmHWM`, the peak of it.
pub(crate) fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
}
