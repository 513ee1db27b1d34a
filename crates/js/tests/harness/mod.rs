//! Guests on threads of their own, with a watchdog as the host has one: a guest that never returns costs its thread
//! only.
#![allow(dead_code, missing_docs, clippy::unwrap_used)] // Each test file uses a part.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::{Duration, Instant};

use nexus_core::{App, Limit, Limits, Manifest};
use nexus_guest::{
    Abandon, Body, ClientAddress, Engine, Failure, Guest, HeaderList, LoadError, LogRecord, Request,
    RequestId, Services, Stop, StopReason, StopSink, Usage, Watch, exchange,
};
use nexus_js::JsEngine;

pub(crate) mod direct;
mod services;

use services::{Files, Log};

/// `burn(ms)` uses that much CPU time, give or take; `wait(ms)` uses none. For [`handler`]s.
const TOOLS: &str = "
    let rounds, sink = 1;
    const burn = (ms) => {
        const end = Math.round(ms * rounds);
        for (let i = 0; i < end; i++) sink = (Math.imul(sink, 1103515245) + 12345) | 0;
    };
    const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
";

/// An app whose fetch handler has this body.
pub(crate) fn handler(body: &str) -> String {
    format!("{TOOLS} export default {{ async fetch(request, env, ctx) {{ rounds = +env.ROUNDS; {body} }} }}")
}

/// How many rounds of `burn` take a millisecond of CPU time.
fn rounds() -> u64 {
    static ROUNDS: OnceLock<u64> = OnceLock::new();
    const MANY: u64 = 40_000_000;
    *ROUNDS.get_or_init(|| {
        let thread = std::thread::spawn(|| {
            let mut limits = Limits::default();
            limits.set(Limit::Cpu, 3_600_000);
            let (sender, _events) = channel();
            let source = handler("burn(1); return new Response()");
            let services = services(&source, limits, Arc::default(), MANY, &sender);
            runtime().block_on(async {
                let guest = JsEngine::new().load(app(), services).await.unwrap();
                // The first time it is not compiled yet.
                let times = [(); 5].map(|()| {
                    let start = thread_cpu();
                    drop(fetch(&*guest, "/"));
                    thread_cpu() - start
                });
                times.into_iter().min().unwrap()
            })
        });
        MANY * 1000 / (thread.join().unwrap().as_micros() as u64).max(1)
    })
}

/// The CPU time of this thread.
pub(crate) fn thread_cpu() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// Far longer than anything here takes.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

struct Tell(Sender<Event>);

impl Abandon for Tell {
    fn abandon(&self, stop: Stop) {
        self.0.send(Event::Abandoned(stop)).unwrap();
    }
}

impl StopSink for Tell {
    fn stopped(&self, request: RequestId, stop: &Stop) {
        panic!("request {request} was stopped alone: {stop:?}");
    }
}

enum Event {
    Loaded(Result<(), LoadError>),
    Reply(Result<(u16, String), Failure>, Duration),
    Abandoned(Stop),
    Over(Option<Stop>, Vec<LogRecord>, Usage),
}

/// What became of a guest.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) load_error: Option<LoadError>,
    /// Of each request that was answered, in order.
    pub(crate) replies: Vec<Result<(u16, String), Failure>>,
    /// What the last of them took of the thread's CPU time.
    pub(crate) cpu: Duration,
    /// How the guest was stopped.
    pub(crate) stop: Option<Stop>,
    /// Whether its thread went with it.
    pub(crate) abandoned: bool,
    pub(crate) log: Vec<LogRecord>,
    pub(crate) usage: Usage,
    /// The most that was seen of its memory.
    pub(crate) memory: u64,
}

impl Outcome {
    /// The only reply's body.
    pub(crate) fn text(&self) -> &str {
        match &self.replies[..] {
            [Ok((200, text))] => text,
            _ => panic!("no text: {self:?}"),
        }
    }

    /// The body of the reply with this number.
    pub(crate) fn text_of(&self, number: usize) -> &str {
        match &self.replies[number] {
            Ok((200, text)) => text,
            _ => panic!("no text: {self:?}"),
        }
    }

    pub(crate) fn messages(&self) -> Vec<&str> {
        self.log.iter().map(|record| record.message.as_str()).collect()
    }
}

/// Loads the app with these limits beyond the defaults, and has it answer these paths, each when the one before was
/// answered; `&`, between two, sends both at once.
pub(crate) fn run(limits: &[(Limit, u64)], source: &str, paths: &[&str]) -> Outcome {
    run_files(limits, &[("index.js", source)], paths)
}

pub(crate) fn run_files(limits: &[(Limit, u64)], files: &[(&str, &str)], paths: &[&str]) -> Outcome {
    nexus_js::initialize_for_tests(&std::env::current_exe().unwrap()).unwrap();
    let mut all = Limits::default();
    for (limit, value) in limits {
        all.set(*limit, *value);
    }
    let files = files.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect();
    let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
    let watch = Arc::new(Watch::new());
    let (sender, events) = channel();
    {
        let watch = watch.clone();
        // The stack of a worker's thread.
        let thread = std::thread::Builder::new().stack_size(2 << 20);
        thread.spawn(move || work(all, files, &paths, &watch, &sender)).unwrap();
    }
    let over = Arc::new(AtomicBool::new(false));
    let dog = {
        let (watch, over) = (watch, over.clone());
        std::thread::spawn(move || watchdog(&watch, &over))
    };
    let mut outcome = collect(&events);
    over.store(true, Ordering::Relaxed);
    outcome.memory = dog.join().unwrap().max(outcome.usage.heap_used);
    outcome
}

/// Loads the app, asks it for `/`, and gives that turn up from outside. Waits until its thread sleeps, and asserts that it
/// has told nothing of its turn.
pub(crate) fn give_up(source: &str) {
    nexus_js::initialize_for_tests(&std::env::current_exe().unwrap()).unwrap();
    let mut limits = Limits::default();
    limits.set(Limit::Cpu, 60_000);
    let files = HashMap::from([("index.js".to_owned(), source.into())]);
    let watch = Arc::new(Watch::new());
    let (sender, events) = channel();
    let own = watch.clone();
    std::thread::spawn(move || work(limits, files, &["/".to_owned()], &own, &sender));
    assert!(matches!(events.recv_timeout(DEADLINE), Ok(Event::Loaded(Ok(())))));
    let start = Instant::now();
    let until = |is_so: &dyn Fn() -> bool| {
        while !is_so() {
            assert!(start.elapsed() < DEADLINE, "waited in vain: {watch:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    until(&|| watch.turn().is_some_and(|turn| watch.give_up(turn)));
    until(&|| watch.is_resting());
    assert!(matches!(events.try_recv(), Err(TryRecvError::Empty)), "it told something");
}

fn services(
    source: &str,
    limits: Limits,
    watch: Arc<Watch>,
    rounds: u64,
    events: &Sender<Event>,
) -> Services {
    Services {
        bindings: Rc::new([]),
        secrets: Default::default(),
        log: Rc::new(Log::default()),
        modules: Rc::new(Files(HashMap::from([("index.js".to_owned(), source.into())]))),
        env: Rc::new([("ROUNDS".to_owned(), rounds.to_string())]),
        limits,
        watch,
        abandon: Rc::new(Tell(events.clone())),
        stops: Rc::new(Tell(events.clone())),
        http: Rc::new(nexus_guest::NoHttp),
    }
}

fn app() -> Arc<App> {
    Arc::new(App {
        folder: "/nowhere".into(),
        manifest: Manifest::default_for("test").unwrap(),
        main: Some("index.js".into()),
    })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

fn watchdog(watch: &Watch, over: &AtomicBool) -> u64 {
    let (mut last, mut memory) = (None, 0);
    while !over.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(2));
        let turn = watch.turn();
        if turn.is_some() && turn == last {
            watch.poke();
        }
        last = turn;
        memory = memory.max(watch.memory());
    }
    memory
}

fn collect(events: &Receiver<Event>) -> Outcome {
    let mut outcome = Outcome::default();
    loop {
        match events.recv_timeout(DEADLINE) {
            Ok(Event::Loaded(Ok(()))) => {}
            Ok(Event::Loaded(Err(error))) => {
                outcome.load_error = Some(error);
                return outcome;
            }
            Ok(Event::Reply(reply, cpu)) => {
                outcome.replies.push(reply);
                outcome.cpu = cpu;
            }
            Ok(Event::Abandoned(stop)) => {
                (outcome.stop, outcome.abandoned) = (Some(stop), true);
                return outcome;
            }
            Ok(Event::Over(stop, log, usage)) => {
                (outcome.stop, outcome.log, outcome.usage) = (stop, log, usage);
                return outcome;
            }
            Err(error) => panic!("the guest did not end ({error}): {outcome:?}"),
        }
    }
}

fn work(
    limits: Limits,
    files: HashMap<String, Vec<u8>>,
    paths: &[String],
    watch: &Arc<Watch>,
    events: &Sender<Event>,
) {
    let log = Rc::new(Log::default());
    let mut services = services("", limits, watch.clone(), rounds(), events);
    (services.log, services.modules) = (log.clone(), Rc::new(Files(files)));
    runtime().block_on(async {
        let guest = match JsEngine::new().load(app(), services).await {
            Ok(guest) => guest,
            Err(error) => {
                let _ = events.send(Event::Loaded(Err(error)));
                return;
            }
        };
        let _ = events.send(Event::Loaded(Ok(())));
        let mut stop = None;
        for path in paths {
            let start = thread_cpu();
            let replies: Vec<_> = path.split('&').map(|path| fetch(&*guest, path)).collect();
            for reply in replies {
                let mut reply = pin!(reply);
                let reply = poll_fn(|cx| {
                    if stop.is_none()
                        && let Poll::Ready(ended) = guest.poll(cx)
                    {
                        stop = Some(ended);
                    }
                    reply.as_mut().poll(cx)
                })
                .await;
                let _ = events.send(Event::Reply(reply, thread_cpu() - start));
            }
            if stop.is_some() {
                break;
            }
        }
        // What is left, in a tail, say.
        let rest = poll_fn(|cx| {
            if stop.is_none()
                && let Poll::Ready(ended) = guest.poll(cx)
            {
                stop = Some(ended);
            }
            if stop.is_some() || guest.in_flight() == 0 { Poll::Ready(()) } else { Poll::Pending }
        });
        let _ = tokio::time::timeout(DEADLINE, rest).await;
        let usage = guest.usage();
        drop(guest);
        let log = log.0.borrow().clone();
        let _ = events.send(Event::Over(stop, log, usage));
    });
}

fn fetch(guest: &dyn Guest, path: &str) -> impl Future<Output = Result<(u16, String), Failure>> + use<> {
    let (responder, pending) = exchange();
    let request = Request {
        id: RequestId::parse(b"req-1").unwrap(),
        method: "GET".into(),
        url: format!("http://localhost{path}"),
        headers: HeaderList::new(),
        body: Body::Empty,
        client: ClientAddress::Ip([127, 0, 0, 1].into(), Some(99)),
        event: Default::default(),
    };
    guest.request(request, responder);
    async move {
        let reply = pending.await?;
        let mut text = Vec::new();
        match reply.body {
            Body::Empty => {}
            Body::Full(bytes) => text.extend_from_slice(&bytes),
            Body::Stream(mut source) => {
                while let Some(Ok(chunk)) = poll_fn(|cx| source.poll_chunk(cx)).await {
                    text.extend_from_slice(&chunk);
                }
            }
        }
        Ok((reply.status, String::from_utf8_lossy(&text).into_owned()))
    }
}

/// A guest that tries this may be refused or stopped, or lose its thread; others in the process never notice.
#[track_caller]
pub(crate) fn survives(attack: &str) {
    let source = handler(&format!(
        "try {{ {attack} }} catch (error) {{ return new Response(String(error)); }} return new Response('done');"
    ));
    let outcome = run(&[(Limit::Memory, 64 << 20), (Limit::Cpu, 1_000)], &source, &["/"]);
    match &outcome.stop {
        Some(stop) => {
            assert!(matches!(stop.reason, StopReason::Memory | StopReason::Cpu), "{attack}: {stop:?}");
            println!("{attack}: abandoned: {}, {}", outcome.abandoned, stop.detail);
        }
        None => println!("{attack}: {:?}", outcome.replies),
    }
    let neighbour = run(&[], &handler("return new Response('fine');"), &["/"]);
    assert_eq!(neighbour.text(), "fine");
}
