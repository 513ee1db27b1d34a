//! A host for tests: an engine whose guests do what the test says while they hold requests, and a plain client.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses a part of it")]

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures_util::future::LocalBoxFuture;
use nexus_core::{App, HostConfig, Limit};
use nexus_guest::{
    Abandon, Body, BodyWriter, Engine, Guest, HeaderList, Level, LoadError, Reply, Request, Responder,
    Services, Stop, StopReason, Stopper, Ticket, Usage, Watch, pipe,
};
use nexus_host::log::{Format, LogConfig, Logger};
use nexus_host::{Happening, Host, Options, discover};
use serde_json::Value;

/// Longer than anything takes that a test waits for.
pub(crate) const TOO_LONG: Duration = Duration::from_secs(30);

/// Asks again and again until it is so.
#[track_caller]
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < TOO_LONG, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// What the guests of an engine show and are told, from any thread.
#[derive(Default)]
pub(crate) struct Lab {
    /// How many guests were loaded.
    pub(crate) loaded: AtomicUsize,
    /// How many requests the guests hold.
    pub(crate) held: AtomicUsize,
    /// The paths that came to guests, in order.
    pub(crate) seen: Mutex<Vec<String>>,
    /// The tickets that were aborted.
    pub(crate) aborted: Mutex<Vec<Ticket>>,
    /// Whether guests may be loaded, beyond the first.
    pub(crate) loading_waits: AtomicBool,
    /// How often guests were poked.
    pub(crate) pokes: AtomicUsize,
    /// Whether the next poke panics.
    pub(crate) poke_panics: AtomicBool,
    /// Whether turns end that are stuck.
    pub(crate) stuck_end: AtomicBool,
    /// Whether a thread came back from a turn that was stuck.
    pub(crate) came_back: AtomicBool,
    /// Whether the gate is open that a guest waits for.
    pub(crate) gate_is_open: AtomicBool,
    /// How many requests that are held may be answered, by whichever guest holds them.
    pub(crate) to_release: AtomicUsize,
    /// The wakers of guests that hold requests.
    wakers: Mutex<Vec<Waker>>,
    /// The app's folder.
    pub(crate) folder: Mutex<PathBuf>,
    /// How often guests were told to stop.
    pub(crate) stops: AtomicUsize,
    /// The thread of the guest that took the last request.
    pub(crate) thread: AtomicI32,
    /// What the host told after its start.
    pub(crate) happenings: Mutex<Vec<Happening>>,
    admin: OnceLock<String>,
}

impl Lab {
    /// A metric of the host's, by its name with its labels.
    #[track_caller]
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let page = Client::connect(self.admin.get().unwrap()).get("metrics").body;
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} is not in\n{page}")).parse().unwrap()
    }

    /// Waits until so many requests wait for a place at the guest.
    #[allow(dead_code)] // Not all tests have a queue.
    pub(crate) fn until_waiting(&self, count: usize) {
        until("requests wait", || self.metric("nexus_requests_waiting{app=\"app\"}") == count as f64);
    }
}

struct LabStopper(Arc<Lab>);

impl Stopper for LabStopper {
    fn stop(&self, _reason: StopReason) {
        self.0.stops.fetch_add(1, Ordering::SeqCst);
    }

    fn poke(&self) {
        self.0.pokes.fetch_add(1, Ordering::SeqCst);
        assert!(!self.0.poke_panics.swap(false, Ordering::SeqCst), "on purpose");
    }
}

/// The engine of a [`Lab`].
#[derive(Clone, Default)]
pub(crate) struct LabEngine(pub(crate) Arc<Lab>);

impl Engine for LabEngine {
    fn name(&self) -> &'static str {
        "lab"
    }

    fn runs(&self, main: &str) -> bool {
        main.ends_with(".js")
    }

    fn load(
        &self,
        _app: Arc<App>,
        services: Services,
    ) -> LocalBoxFuture<'static, Result<Rc<dyn Guest>, LoadError>> {
        let lab = self.0.clone();
        Box::pin(async move {
            if lab.loaded.load(Ordering::SeqCst) > 0 {
                while lab.loading_waits.load(Ordering::SeqCst) {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }
            lab.loaded.fetch_add(1, Ordering::SeqCst);
            let memory = services.limits.get(Limit::Memory);
            let Services { watch, abandon, .. } = services;
            watch.attach(Arc::new(LabStopper(lab.clone())));
            let guest = LabGuest { lab, watch, abandon, memory, inner: RefCell::default() };
            Ok(Rc::new(guest) as Rc<dyn Guest>)
        })
    }
}

struct LabGuest {
    lab: Arc<Lab>,
    watch: Arc<Watch>,
    abandon: Rc<dyn Abandon>,
    memory: u64,
    inner: RefCell<Inner>,
}

#[derive(Default)]
struct Inner {
    tickets: u64,
    held: Vec<Responder>,
    streams: Vec<(BodyWriter, Responder)>,
    stop: Option<Stop>,
    waker: Option<Waker>,
}

fn reply(text: &str) -> Reply {
    let headers = HeaderList::from_iter([("content-type", "text/plain")]);
    Reply { status: 200, headers, body: Body::Full(text.to_owned().into()) }
}

impl Drop for LabGuest {
    fn drop(&mut self) {
        self.watch.detach();
        self.lab.held.fetch_sub(self.inner.get_mut().held.len(), Ordering::SeqCst);
    }
}

impl LabGuest {
    /// A turn that goes on until `is_over`.
    fn turn(&self, mut is_over: impl FnMut() -> bool) {
        let _turn = self.watch.begin_turn();
        while !is_over() {
            std::hint::spin_loop();
        }
    }
}

/// The CPU time of the current thread.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

impl Guest for LabGuest {
    fn request(&self, request: Request, responder: Responder) -> Ticket {
        let path = request.url.splitn(4, '/').nth(3).unwrap().to_owned();
        let number = path.split('/').nth(1).and_then(|number| number.parse().ok()).unwrap_or(0);
        let thread = rustix::thread::gettid().as_raw_nonzero().get();
        self.lab.thread.store(thread, Ordering::SeqCst);
        self.lab.seen.lock().unwrap().push(path.clone());
        let mut inner = self.inner.borrow_mut();
        inner.tickets += 1;
        let ticket = Ticket(inner.tickets);
        match path.split('/').next().unwrap() {
            "hold" => {
                inner.held.push(responder);
                self.lab.held.fetch_add(1, Ordering::SeqCst);
                if let Some(waker) = &inner.waker {
                    waker.wake_by_ref();
                }
            }
            // Has one answered that is held, here or by another guest.
            "release" => {
                drop(inner);
                self.lab.to_release.fetch_add(1, Ordering::SeqCst);
                self.lab.wakers.lock().unwrap().drain(..).for_each(Waker::wake);
                responder.send(Ok(reply("done")));
            }
            "stream" => {
                let (writer, body) = pipe(1024, None);
                writer.write("begun".into());
                responder.send(Ok(Reply { status: 200, headers: HeaderList::new(), body }));
                inner.streams.push((writer, responder));
            }
            // Ends the oldest stream.
            "finish" => {
                if !inner.streams.is_empty() {
                    inner.streams.remove(0).0.finish();
                }
                responder.send(Ok(reply("done")));
            }
            "stop" => {
                inner.held.push(responder);
                self.lab.held.fetch_add(1, Ordering::SeqCst);
                let limit = Some((Limit::Cpu, 50));
                inner.stop = Some(Stop { reason: StopReason::Cpu, limit, detail: "on request".into() });
                if let Some(waker) = &inner.waker {
                    waker.wake_by_ref();
                }
            }
            "lose" => {
                drop(inner);
                let limit = Some((Limit::Memory, self.memory));
                self.abandon.abandon(Stop { reason: StopReason::Memory, limit, detail: "on request".into() });
                loop {
                    std::thread::park();
                }
            }
            "wear" => {
                self.abandon.worn("the lab is worn out");
                responder.send(Ok(reply("worn")));
            }
            // Holds so many megabytes from here on.
            "grow" => {
                self.turn(|| {
                    self.watch.set_memory(number << 20);
                    true
                });
                responder.send(Ok(reply("grown")));
            }
            // A turn that ends when it has been poked so often, or has taken half a minute of CPU time.
            "spin" => {
                let before = self.lab.pokes.load(Ordering::SeqCst) as u64;
                let enough = || self.lab.pokes.load(Ordering::SeqCst) as u64 >= before + number;
                let end = cpu() + TOO_LONG;
                self.turn(|| enough() || cpu() > end);
                responder.send(Ok(reply(if enough() { "poked" } else { "forgotten" })));
            }
            // A turn that looks at nothing until it is let go.
            "stick" => {
                self.turn(|| self.lab.stuck_end.load(Ordering::SeqCst));
                self.lab.came_back.store(true, Ordering::SeqCst);
                responder.send(Ok(reply("back")));
            }
            // A turn that takes so many milliseconds of CPU time.
            "burn" => {
                let end = cpu() + Duration::from_millis(number);
                self.turn(|| cpu() > end);
                responder.charge(Duration::from_millis(number));
                responder.send(Ok(reply("burnt")));
            }
            // A turn that waits for so many milliseconds for the gate to be opened.
            "gate" => {
                let end = Instant::now() + Duration::from_millis(number);
                self.turn(|| self.lab.gate_is_open.load(Ordering::SeqCst) || Instant::now() > end);
                let is_open = self.lab.gate_is_open.load(Ordering::SeqCst);
                responder.send(Ok(reply(if is_open { "open" } else { "shut" })));
            }
            other => responder.send(Ok(reply(other))),
        }
        ticket
    }

    fn abort(&self, ticket: Ticket) {
        self.lab.aborted.lock().unwrap().push(ticket);
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<Stop> {
        let mut inner = self.inner.borrow_mut();
        inner.waker = Some(cx.waker().clone());
        if !inner.held.is_empty() {
            self.lab.wakers.lock().unwrap().push(cx.waker().clone());
        }
        let release = || {
            let take = |count: usize| count.checked_sub(1);
            self.lab.to_release.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok()
        };
        while !inner.held.is_empty() && release() {
            inner.held.remove(0).send(Ok(reply("released")));
            self.lab.held.fetch_sub(1, Ordering::SeqCst);
        }
        match inner.stop.take() {
            Some(stop) => {
                self.lab.held.fetch_sub(inner.held.len(), Ordering::SeqCst);
                inner.held.clear();
                inner.streams.clear();
                Poll::Ready(stop)
            }
            None => Poll::Pending,
        }
    }

    fn in_flight(&self) -> usize {
        let inner = self.inner.borrow();
        inner.held.len() + inner.streams.len()
    }

    fn usage(&self) -> Usage {
        Usage::default()
    }

    fn stopper(&self) -> Arc<dyn Stopper> {
        Arc::new(LabStopper(self.lab.clone()))
    }
}

/// What was written to a log.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// The lines so far.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Waits for a line that fits.
    #[track_caller]
    pub(crate) fn line(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let mut found = None;
        until(what, || {
            found = self.lines().into_iter().find(&fits);
            found.is_some()
        });
        found.unwrap()
    }
}

struct Temp(PathBuf);

impl Drop for Temp {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Serves an app with this manifest and runs `test` beside it, with the app's address.
pub(crate) fn with_app(manifest: &str, test: impl FnOnce(&Lab, &Log, &str) + Send + 'static) {
    with_apps(|_| {}, &[("app", manifest)], |lab, log, addresses| test(lab, log, &addresses[0]));
}

/// Serves apps with these names and manifests and runs `test` beside them, with their addresses. Gives how many workers
/// had not ended when the host was stopped.
pub(crate) fn with_apps(
    configure: impl FnOnce(&mut HostConfig),
    apps: &[(&str, &str)],
    test: impl FnOnce(&Lab, &Log, &[String]) + Send + 'static,
) -> usize {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let temp = Temp(std::env::temp_dir().join(format!("nexus-lab-{}-{number}", std::process::id())));
    for (app, manifest) in apps {
        std::fs::create_dir_all(temp.0.join(app)).unwrap();
        std::fs::write(temp.0.join(app).join("index.js"), "").unwrap();
        std::fs::write(temp.0.join(app).join("nexus.toml"), manifest).unwrap();
    }
    let mut config = HostConfig::default();
    config.listen.port = 0;
    config.admin = Some("127.0.0.1:0".parse().unwrap());
    config.log.access = true;
    configure(&mut config);
    let log = Log::default();
    let format = LogConfig { format: Format::Json, level: Level::Debug, color: false };
    let engine = LabEngine::default();
    let apps = discover(&temp.0, &config).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let left = runtime.block_on(async {
        let mut host = Host::start(Options {
            config,
            apps,
            env: Vec::new(),
            engines: vec![Arc::new(engine.clone())],
            capabilities: Arc::new(nexus_guest::NoHttp),
            logger: Logger::start(format, Box::new(log.clone())).unwrap(),
            build: Vec::new(),
            watch: false,
            token: None,
        })
        .unwrap();
        let address = |url: &str| url.strip_prefix("http://").unwrap().to_owned();
        let states = host.started().await;
        let addresses: Vec<_> = states.iter().map(|state| address(state.serving.as_ref().unwrap())).collect();
        let lab = engine.0.clone();
        lab.admin.set(address(host.admin_url().unwrap())).unwrap();
        let of_test = lab.clone();
        let mut testing = tokio::task::spawn_blocking(move || test(&of_test, &log, &addresses));
        loop {
            tokio::select! {
                result = &mut testing => break result.unwrap(),
                happening = host.next() => lab.happenings.lock().unwrap().push(happening),
            }
        }
        host.stop(Duration::from_millis(500)).await
    });
    runtime.shutdown_background();
    left
}

/// A connection.
pub(crate) struct Client(pub(crate) TcpStream);

/// A response with a body of known length.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

impl Client {
    pub(crate) fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(TOO_LONG)).unwrap();
        Self(stream)
    }

    /// A GET on a connection of its own, whose answer is not waited for.
    pub(crate) fn ask(address: &str, path: &str) -> Self {
        let mut client = Self::connect(address);
        client.send(path);
        client
    }

    pub(crate) fn send(&mut self, path: &str) {
        // In one piece: the worker is to find all of it at once.
        self.0.write_all(format!("GET /{path} HTTP/1.1\r\nhost: test\r\n\r\n").as_bytes()).unwrap();
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.send(path);
        self.answer()
    }

    /// Reads a response's head.
    pub(crate) fn head(&mut self) -> String {
        let mut text = Vec::new();
        let mut byte = [0];
        while !text.ends_with(b"\r\n\r\n") {
            self.0.read_exact(&mut byte).unwrap();
            text.push(byte[0]);
        }
        String::from_utf8(text).unwrap()
    }

    pub(crate) fn answer(&mut self) -> Answer {
        let head = self.head();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        self.0.read_exact(&mut body).unwrap();
        Answer { status: head[9..12].parse().unwrap(), body: String::from_utf8(body).unwrap(), head }
    }

    /// Whether nothing more comes. A reset counts as the end.
    pub(crate) fn is_closed(&mut self) -> bool {
        !matches!(self.0.read(&mut [0; 1]), Ok(1..))
    }
}
