//! The admin address: metrics for Prometheus, health and readiness for whoever restarts and routes.
//!
//! It has a thread of its own, so that it answers while every worker is busy.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use nexus_guest::{Body, HeaderList, Level, Reply, Request, RequestId, exchange};
use tokio::sync::oneshot;
use tokio::task::LocalSet;

use crate::crew::{Entry, Registry};
use crate::http::{
    Call, CallOwner, Listener, Outcome, Refused, Server, ServerConfig, Service, Shutdown, serve,
};
use crate::listen::Bound;
use crate::log::Logger;
use crate::metrics::{self, AppSum, HostSum};
use crate::worker::Control;

/// How long a worker may take to bring its figures up to date; a busy one's are a little old then.
const REPORT_WAIT: Duration = Duration::from_millis(200);

/// The running admin server.
pub(crate) struct Admin {
    shared: Arc<Shared>,
    drain: Option<oneshot::Sender<()>>,
}

struct Shared {
    registry: Arc<Registry>,
    logger: Logger,
    build: Vec<(&'static str, String)>,
    stopping: AtomicBool,
    connections: Arc<AtomicUsize>,
}

impl Admin {
    /// Starts the admin thread on this socket.
    pub(crate) fn start(
        socket: Arc<Bound>,
        registry: Arc<Registry>,
        logger: Logger,
        build: Vec<(&'static str, String)>,
    ) -> io::Result<Self> {
        let connections = Arc::new(AtomicUsize::new(0));
        let shared =
            Arc::new(Shared { registry, logger, build, stopping: AtomicBool::new(false), connections });
        let (drain, drained) = oneshot::channel();
        let admin = Self { shared: shared.clone(), drain: Some(drain) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        std::thread::Builder::new().name("nexus-admin".into()).spawn(move || {
            let local = LocalSet::new();
            local.block_on(&runtime, async {
                let logger = shared.logger.clone();
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
                    service: Rc::new(AdminService { shared, last_id: Cell::new(0) }),
                };
                if let Err(error) = serve(Listener::of(&socket), server).await {
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

struct AdminService {
    shared: Arc<Shared>,
    last_id: Cell<u128>,
}

impl AdminService {
    /// Health: the process answers. Readiness: every app that could be loaded is served, and the host is not
    /// stopping.
    fn answer(&self, path: &str) -> Reply {
        match path {
            "/health" => text(200, "ok\n".into()),
            "/ready" => {
                let entries = &self.shared.registry.entries;
                let starting = entries.iter().filter(|entry| entry.outcome.get().is_none()).count();
                if self.shared.stopping.load(Ordering::Relaxed) {
                    text(503, "stopping\n".into())
                } else if starting > 0 {
                    text(503, format!("starting: {starting} apps to go\n"))
                } else {
                    text(200, "ready\n".into())
                }
            }
            _ => text(404, "not found: there are /metrics, /health and /ready\n".into()),
        }
    }
}

fn text(status: u16, body: String) -> Reply {
    let headers =
        HeaderList::from_iter([("content-type", "text/plain;charset=utf-8"), ("cache-control", "no-store")]);
    Reply { status, headers, body: Body::Full(body.into()) }
}

async fn metrics(shared: Arc<Shared>) -> Reply {
    let registry = &shared.registry;
    let mut reports = Vec::new();
    for worker in registry.entries.iter().flat_map(Entry::workers) {
        let (done, report) = oneshot::channel();
        worker.command(Control::Report(done));
        reports.push(report);
    }
    let _ = tokio::time::timeout(REPORT_WAIT, futures_util::future::join_all(reports)).await;
    let apps: Vec<AppSum> = registry.entries.iter().map(Entry::sum).collect();
    let (watchdog, ledger) = (&registry.watchdog, registry.watchdog.ledger());
    let host = HostSum {
        budget: ledger.budget(),
        held: ledger.held(),
        pokes: watchdog.pokes(),
        watchdog_panics: watchdog.panics(),
        log_lines_dropped: shared.logger.dropped(),
    };
    let body = metrics::render(&apps, &host, &shared.build);
    let headers =
        HeaderList::from_iter([("content-type", metrics::CONTENT_TYPE), ("cache-control", "no-store")]);
    Reply { status: 200, headers, body: Body::Full(body.into()) }
}

impl Service for AdminService {
    fn call(self: Rc<Self>, request: Request) -> Call {
        let (responder, pending) = exchange();
        let path = request.url.splitn(4, '/').nth(3).unwrap_or_default();
        let path = format!("/{}", path.split('?').next().unwrap_or_default());
        if !matches!(&*request.method, "GET" | "HEAD") {
            let mut reply = text(405, "only GET and HEAD\n".into());
            reply.headers.push(b"allow", b"GET, HEAD");
            responder.send(Ok(reply));
        } else if path == "/metrics" {
            let shared = self.shared.clone();
            tokio::task::spawn_local(async move { responder.send(Ok(metrics(shared).await)) });
        } else {
            responder.send(Ok(self.answer(&path)));
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
