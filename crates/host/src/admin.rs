//! The admin address: metrics for Prometheus, health and readiness for whoever restarts and routes.
//!
//! It has a thread of its own, so that it answers while every worker is busy. Of several hosts the first one answers at
//! the address, for all of them: it asks the others, whose admin threads answer nobody else.

mod readiness;

use std::cell::Cell;
use std::io;
use std::os::unix::net::UnixListener;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::{join, join_all};
use nexus_guest::{Body, HeaderList, Level, Reply, Request, RequestId, exchange};
use tokio::sync::oneshot;
use tokio::task::LocalSet;

use self::readiness::Readiness;
use crate::crew::{Entry, Registry};
use crate::http::{
    Call, CallOwner, Inbox, Listener, Outcome, Refused, Server, ServerConfig, Service, Shutdown, serve,
};
use crate::listen::Bound;
use crate::log::Logger;
use crate::metrics::{self, AppSum, HostSum, Merge};
use crate::siblings::{self, Question, Sibling};
use crate::worker::Control;

/// How long a worker may take to bring its figures up to date; a busy one's are a little old then.
const REPORT_WAIT: Duration = Duration::from_millis(200);

/// The running admin server.
pub(crate) struct Admin {
    shared: Arc<Shared>,
    drain: Option<oneshot::Sender<()>>,
}

/// What an admin thread is started with.
pub(crate) struct Setup {
    /// Where it answers.
    pub(crate) socket: AdminSocket,
    /// The host's number, 1 if it is the only one.
    pub(crate) number: usize,
    /// The other hosts, if this one answers for them.
    pub(crate) siblings: Vec<Sibling>,
    /// Labels of the metric `nexus_build_info`.
    pub(crate) build: Vec<(&'static str, String)>,
}

/// Where an admin thread answers.
pub(crate) enum AdminSocket {
    /// Anybody, over HTTP.
    Public(Arc<Bound>),
    /// The first of several hosts.
    Private(Arc<UnixListener>),
}

struct Shared {
    registry: Arc<Registry>,
    logger: Logger,
    number: usize,
    siblings: Vec<Sibling>,
    build: Vec<(&'static str, String)>,
    stopping: AtomicBool,
    connections: Arc<AtomicUsize>,
}

impl Admin {
    /// Starts the admin thread.
    pub(crate) fn start(setup: Setup, registry: Arc<Registry>, logger: Logger) -> io::Result<Self> {
        let Setup { socket, number, siblings, build } = setup;
        let (stopping, connections) = (AtomicBool::new(false), Arc::default());
        let shared = Arc::new(Shared { registry, logger, number, siblings, build, stopping, connections });
        let (drain, drained) = oneshot::channel();
        let admin = Self { shared: shared.clone(), drain: Some(drain) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        std::thread::Builder::new().name("nexus-admin".into()).spawn(move || {
            let local = LocalSet::new();
            local.block_on(&runtime, async {
                let logger = shared.logger.clone();
                let result = match socket {
                    AdminSocket::Public(socket) => answer_anybody(&socket, shared, drained).await,
                    AdminSocket::Private(socket) => {
                        let tell = move |question| shared.clone().tell(question);
                        siblings::answer(&socket, drained, tell).await
                    }
                };
                if let Err(error) = result {
                    logger.host(Level::Error, format!("the admin server has ended: {error}"), []);
                }
            });
        })?;
        Ok(admin)
    }

    /// From now on the host is not ready.
    pub(crate) fn stopping(&self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
    }

    /// Accepts no more: another process answers at the same address.
    pub(crate) fn hand_over(&mut self) {
        if let Some(drain) = self.drain.take() {
            let _ = drain.send(());
        }
    }
}

async fn answer_anybody(
    socket: &Bound,
    shared: Arc<Shared>,
    drained: oneshot::Receiver<()>,
) -> io::Result<()> {
    let shutdown = Shutdown::new();
    let signal = shutdown.clone();
    tokio::task::spawn_local(async move {
        if drained.await.is_ok() {
            signal.drain();
        }
    });
    let server = Server {
        config: ServerConfig { max_body: 0, max_connections: 100, ..ServerConfig::default() },
        shutdown,
        open: shared.connections.clone(),
        connections: Arc::default(),
        inbox: Inbox::new(),
        service: Rc::new(AdminService { shared, last_id: Cell::new(0) }),
    };
    serve(Listener::of(socket), server).await
}

impl Shared {
    /// What another host is told.
    async fn tell(self: Arc<Self>, question: Question) -> String {
        match question {
            Question::Readiness => self.readiness().to_string(),
            Question::Page => self.page().await,
        }
    }

    /// Of this host's apps alone.
    fn readiness(&self) -> Readiness {
        let starting = self.registry.all().iter().filter(|entry| entry.outcome.get().is_none()).count();
        match starting {
            _ if self.stopping.load(Ordering::Relaxed) => Readiness::Stopping,
            0 => Readiness::Ready,
            starting => Readiness::Starting(starting),
        }
    }

    /// That of this host and of those that it answers for.
    async fn readiness_of_all(&self) -> Readiness {
        let own = self.readiness();
        let others = self.siblings.iter().map(async |sibling| {
            let answer = sibling.ask(Question::Readiness).await;
            answer.and_then(|text| text.parse().ok()).unwrap_or(Readiness::Silent(vec![sibling.number]))
        });
        join_all(others).await.into_iter().fold(own, Readiness::and)
    }

    /// The metrics of this host's apps alone.
    async fn page(&self) -> String {
        let registry = &self.registry;
        let entries = registry.all();
        bring_up_to_date(&entries).await;
        let apps: Vec<AppSum> = entries.iter().map(|entry| entry.sum()).collect();
        let (watchdog, ledger) = (&registry.watchdog, registry.watchdog.ledger());
        let host = HostSum {
            budget: ledger.budget(),
            held: ledger.held(),
            pokes: watchdog.pokes(),
            watchdog_panics: watchdog.panics(),
            log_lines_dropped: self.logger.dropped(),
        };
        metrics::render(&apps, &host, &self.build)
    }

    /// The metrics of this host and of those that it answers for.
    async fn page_of_all(&self) -> String {
        if self.siblings.is_empty() {
            return self.page().await;
        }
        let others = join_all(self.siblings.iter().map(|sibling| sibling.ask(Question::Page)));
        let (own, others) = join(self.page(), others).await;
        let mut merge = Merge::default();
        merge.add(self.number, Some(&own));
        for (sibling, page) in self.siblings.iter().zip(others) {
            merge.add(sibling.number, page.as_deref());
        }
        merge.page()
    }
}

/// Has the workers of these apps bring their figures up to date, as far as they get to it soon.
pub(crate) async fn bring_up_to_date(entries: &[Arc<Entry>]) {
    let mut reports = Vec::new();
    for worker in entries.iter().flat_map(|entry| entry.workers()) {
        let (done, report) = oneshot::channel();
        worker.command(Control::Report(done));
        reports.push(report);
    }
    let _ = tokio::time::timeout(REPORT_WAIT, join_all(reports)).await;
}

struct AdminService {
    shared: Arc<Shared>,
    last_id: Cell<u128>,
}

/// Health: the process answers, and so do all that share the apps with it. Readiness: every app that could be loaded is
/// served, and the host is not stopping.
async fn answer(shared: Arc<Shared>, path: String) -> Reply {
    match path.as_str() {
        "/health" if shared.siblings.is_empty() => text(200, "ok\n".into()),
        "/health" => match shared.readiness_of_all().await.silent() {
            Some(silent) => text(503, format!("{silent}\n")),
            None => text(200, "ok\n".into()),
        },
        "/ready" => {
            let readiness = shared.readiness_of_all().await;
            text(
                if readiness == Readiness::Ready { 200 } else { 503 },
                format!("{}\n", readiness.for_people()),
            )
        }
        "/metrics" => {
            let headers = HeaderList::from_iter([
                ("content-type", metrics::CONTENT_TYPE),
                ("cache-control", "no-store"),
            ]);
            Reply { status: 200, headers, body: Body::Full(shared.page_of_all().await.into()) }
        }
        _ => text(404, "not found: there are /metrics, /health and /ready\n".into()),
    }
}

fn text(status: u16, body: String) -> Reply {
    let headers =
        HeaderList::from_iter([("content-type", "text/plain;charset=utf-8"), ("cache-control", "no-store")]);
    Reply { status, headers, body: Body::Full(body.into()) }
}

impl Service for AdminService {
    fn call(self: Rc<Self>, request: Request) -> Call {
        let (responder, pending) = exchange();
        let path = request.url.splitn(4, '/').nth(3).unwrap_or_default();
        let path = format!("/{}", path.split('?').next().unwrap_or_default());
        if matches!(&*request.method, "GET" | "HEAD") {
            let answer = answer(self.shared.clone(), path);
            tokio::task::spawn_local(async move { responder.send(Ok(answer.await)) });
        } else {
            let mut reply = text(405, "only GET and HEAD\n".into());
            reply.headers.push(b"allow", b"GET, HEAD");
            responder.send(Ok(reply));
        }
        Call::new(pending, self, 0)
    }

    fn refused(&self, refused: Refused) {
        let message = format!("the admin address refused a request: {}", refused.refusal);
        self.shared.logger.host(Level::Debug, message, [("client", refused.client.to_string().into())]);
    }

    fn next_request_id(&self) -> RequestId {
        self.last_id.set(self.last_id.get() + 1);
        RequestId::from_u128(self.last_id.get())
    }

    fn accept_failed(&self, error: &io::Error) {
        self.shared.logger.host(Level::Error, format!("the admin address cannot accept: {error}"), []);
    }
}

impl CallOwner for AdminService {
    fn ended(&self, _key: u64, _outcome: Outcome) {}
}
