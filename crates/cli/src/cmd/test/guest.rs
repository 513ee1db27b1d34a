//! Runs one file in a guest of its own, on a thread of its own.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::thread::Builder;
use std::time::{Duration, Instant};

use nexus_core::{App, Limit, Manifest};
use nexus_guest::{
    Abandon, Body, ClientAddress, Engine, Failure, FailureKind, Guest, HeaderList, Level, LogRecord, LogSink,
    PendingReply, Reply, Request, RequestId, Services, Stop, StopReason, StopSink, Watch, exchange, method,
};
use nexus_js::testing::{self, TestEngine};
use serde_json::json;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::LocalSet;
use tokio::time::timeout_at;

use super::files::Files;
use super::network::Network;
use super::outcome::{FileStatus, Outcome};
use super::plan::Plan;
use super::server::Server;

/// The stack of a guest's thread.
const STACK: usize = 4 << 20;
/// A guest's memory.
const MEMORY: u64 = 1 << 30;
/// The most lines of a file's log that are kept, and the longest, in bytes.
const LINES: usize = 100;
const LONGEST_LINE: usize = 2000;
/// How long the harness may take to say what there is when the time is up.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What a file may take.
pub(super) struct Limits {
    factor: f64,
}

impl Limits {
    /// The usual times, and this many times as much.
    pub(super) fn new(factor: f64) -> Self {
        Self { factor }
    }

    fn time(&self, plan: &Plan) -> Duration {
        Duration::from_secs(if plan.is_long { 60 } else { 10 }).mul_f64(self.factor)
    }
}

/// A file that is being run.
pub(super) struct Run {
    pub(super) plan: Arc<Plan>,
    watch: Arc<Watch>,
    /// The turn at the last look.
    turn: Option<u64>,
    limit: Duration,
    begun: Instant,
    reports: Arc<Mutex<Vec<String>>>,
}

impl Run {
    /// Has a guest look at its limits in the middle of a long turn. Gives up one that is in a built-in which does not
    /// end: its thread is lost.
    pub(super) fn look(&mut self) -> Option<Outcome> {
        let turn = self.watch.turn();
        if turn.is_some() && turn == self.turn {
            self.watch.poke();
        }
        self.turn = turn;
        let late = self.begun.elapsed().saturating_sub(self.limit);
        if late > LAST_WORDS {
            // Some built-ins look at nothing else.
            self.watch.stop(StopReason::Wall);
        }
        if late < LAST_WORDS * 3 {
            return None;
        }
        if let Some(turn) = turn {
            let _ = self.watch.give_up(turn);
        }
        let broken = (FileStatus::Timeout, "it did not return, and could not be stopped".to_owned());
        Some(outcome(&self.reports, Some(broken), self.plan.doubt, self.begun))
    }
}

fn outcome(
    reports: &Mutex<Vec<String>>,
    broken: Option<(FileStatus, String)>,
    doubt: Option<&str>,
    begun: Instant,
) -> Outcome {
    let reports = std::mem::take(&mut *reports.lock().unwrap_or_else(PoisonError::into_inner));
    let mut outcome = Outcome::of_reports(&reports, broken, doubt);
    outcome.time = begun.elapsed();
    outcome
}

/// Runs a file, which may ask this server; what becomes of it is sent under this number.
pub(super) fn start(
    number: usize,
    plan: Arc<Plan>,
    server: Arc<Server>,
    limits: &Limits,
    sender: UnboundedSender<(usize, Outcome)>,
) -> Run {
    let watch = Arc::new(Watch::new());
    let reports = Arc::default();
    let run = Run {
        plan: plan.clone(),
        watch: watch.clone(),
        turn: None,
        limit: limits.time(&plan),
        begun: Instant::now(),
        reports: Arc::clone(&reports),
    };
    let (begun, limit) = (run.begun, run.limit);
    let name = plan.name();
    let failed = sender.clone();
    let work = move || {
        let panicked = Panicked { number, sender: sender.clone() };
        let told = Rc::new(Told { number, sender, reports, doubt: plan.doubt, begun });
        let log = Rc::new(Log::default());
        let broken = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => {
                let drive = drive(&plan, server, limit, watch, told.clone(), log.clone());
                LocalSet::new().block_on(&runtime, drive)
            }
            Err(error) => Some((FileStatus::Error, error.to_string())),
        };
        told.tell(broken, log.0.take());
        drop(panicked);
    };
    if let Err(error) = Builder::new().name(name).stack_size(STACK).spawn(work) {
        let message = format!("no thread could be had for it: {error}");
        let _ = failed.send((number, Outcome::broken(FileStatus::Error, message)));
    }
    run
}

/// Tells of the end if a panic of nexus's own is it. What it sends after another outcome is not heard.
struct Panicked {
    number: usize,
    sender: UnboundedSender<(usize, Outcome)>,
}

impl Drop for Panicked {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let outcome = Outcome::broken(FileStatus::Error, "nexus itself panicked while it ran the file");
            let _ = self.sender.send((self.number, outcome));
        }
    }
}

/// Who is told of the end.
struct Told {
    number: usize,
    sender: UnboundedSender<(usize, Outcome)>,
    reports: Arc<Mutex<Vec<String>>>,
    doubt: Option<&'static str>,
    begun: Instant,
}

impl Told {
    fn tell(&self, broken: Option<(FileStatus, String)>, log: Vec<String>) {
        let outcome = Outcome { log, ..outcome(&self.reports, broken, self.doubt, self.begun) };
        // Nobody listens any more if all was interrupted.
        let _ = self.sender.send((self.number, outcome));
    }
}

impl Abandon for Told {
    fn abandon(&self, stop: Stop) {
        self.tell(Some((FileStatus::Error, stop.detail)), Vec::new());
    }
}

impl StopSink for Told {
    fn stopped(&self, _request: RequestId, _stop: &Stop) {}
}

#[derive(Default)]
struct Log(RefCell<Vec<String>>);

impl LogSink for Log {
    fn wants(&self, _level: Level) -> bool {
        true
    }

    fn log(&self, record: LogRecord) {
        // The requests are the harness's; tests run outside of them.
        if record.request.is_some() {
            return;
        }
        let mut lines = self.0.borrow_mut();
        if lines.len() < LINES {
            let mut line = format!("{}: {}", record.level, record.message);
            line.truncate(line.floor_char_boundary(LONGEST_LINE));
            lines.push(line);
        }
    }
}

/// Loads the guest and has it run to its end. Gives how it ended if not well; what it found out, it reports.
async fn drive(
    plan: &Plan,
    server: Arc<Server>,
    limit: Duration,
    watch: Arc<Watch>,
    told: Rc<Told>,
    log: Rc<Log>,
) -> Option<(FileStatus, String)> {
    let begun = tokio::time::Instant::now();
    let reports = told.reports.clone();
    let report = move |text| reports.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    let engine = TestEngine::new(Arc::new(report), plan.url());
    let guest = match engine.load(app()?, services(plan, server, limit, watch, told, log)).await {
        Ok(guest) => guest,
        Err(error) => {
            // It does not say which limit it was, but in words.
            let is_late = begun.elapsed() >= limit && !error.message.contains("memory limit");
            let status = if is_late { FileStatus::Timeout } else { FileStatus::Error };
            return Some((status, error.to_string()));
        }
    };
    let ask = async |path: &str, until| {
        let pending = request(&*guest, path);
        timeout_at(until, reply(&*guest, pending)).await
    };
    let deadline = begun + limit;
    let why = match ask("/end", deadline).await {
        Ok(Reached::Stop(stop)) => return Some(stopped(stop)),
        Ok(Reached::Reply(Ok(_))) => return None,
        Ok(Reached::Reply(Err(failure))) if failure.kind == FailureKind::Hung => {
            "it waits for something that never comes: no timer and no operation is left".to_owned()
        }
        Ok(Reached::Reply(Err(failure))) => failure.to_string(),
        Err(_) => format!("it took more than {} s", limit.as_secs_f64()),
    };
    match ask("/timeout", tokio::time::Instant::now() + LAST_WORDS).await {
        Ok(Reached::Stop(stop)) => Some(stopped(stop)),
        _ => Some((FileStatus::Timeout, why)),
    }
}

fn stopped(stop: Stop) -> (FileStatus, String) {
    let status = match stop.reason {
        StopReason::Cpu | StopReason::Wall => FileStatus::Timeout,
        StopReason::Memory | StopReason::Host | StopReason::Engine => FileStatus::Error,
    };
    (status, stop.detail)
}

fn app() -> Option<Arc<App>> {
    // Never `None`: "test" is a name.
    let manifest = Manifest::default_for("test").ok()?;
    Some(Arc::new(App { folder: "/".into(), manifest, main: Some(testing::MAIN.into()) }))
}

fn services(
    plan: &Plan,
    server: Arc<Server>,
    time: Duration,
    watch: Arc<Watch>,
    told: Rc<Told>,
    log: Rc<Log>,
) -> Services {
    let mut limits = nexus_core::Limits::default();
    for (limit, value) in [
        (Limit::Memory, MEMORY),
        (Limit::Timers, 1_000_000),
        (Limit::Operations, 1_000_000),
        (Limit::Subrequests, 1_000_000),
        (Limit::Log, 64 << 20),
        (Limit::Startup, time.as_millis() as u64),
        (Limit::Cpu, time.as_millis() as u64),
        (Limit::Wall, time.as_millis() as u64),
    ] {
        let range = limit.range();
        limits.set(limit, value.clamp(*range.start(), *range.end()));
    }
    let harness = json!({
        "scripts": plan.scripts,
        "url": plan.url(),
        "title": plan.title,
        "worker": plan.is_worker,
    });
    let main = testing::main_module(&harness.to_string());
    let reports = told.reports.clone();
    let lacks = move |what: &str| {
        let report = json!({ "kind": "lacks", "what": what }).to_string();
        reports.lock().unwrap_or_else(PoisonError::into_inner).push(report);
    };
    Services {
        log,
        modules: Rc::new(Files { root: plan.root.clone(), main }),
        env: Rc::new([]),
        limits,
        watch,
        bindings: Rc::new([]),
        secrets: Default::default(),
        abandon: told.clone(),
        stops: told,
        http: Rc::new(Network::new(server, Rc::new(lacks))),
    }
}

fn request(guest: &dyn Guest, path: &str) -> PendingReply {
    let (responder, pending) = exchange();
    let request = Request {
        id: RequestId::parse(b"test").unwrap_or_else(|| unreachable!("it is an id")),
        method: method("GET"),
        url: format!("http://localhost{path}"),
        headers: HeaderList::default(),
        body: Body::Empty,
        client: ClientAddress::Unix,
        event: Default::default(),
    };
    guest.request(request, responder);
    pending
}

/// What a request comes to.
enum Reached {
    Reply(Result<Reply, Failure>),
    Stop(Stop),
}

/// Drives the guest until the reply is there, or the guest ends.
async fn reply(guest: &dyn Guest, pending: PendingReply) -> Reached {
    let mut pending = pin!(pending);
    poll_fn(|cx| {
        if let Poll::Ready(stop) = guest.poll(cx) {
            return Poll::Ready(Reached::Stop(stop));
        }
        pending.as_mut().poll(cx).map(Reached::Reply)
    })
    .await
}
