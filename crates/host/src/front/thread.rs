//! The I/O threads: each accepts from all shared ports.

use std::future::Future;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use futures_util::future::{join_all, select};
use nexus_core::{HostConfig, Limit, Limits};
use nexus_guest::Level;
use tokio::sync::oneshot;
use tokio::task::LocalSet;

use super::service::{FrontService, Shared};
use crate::http::{Inbox, Listener, Maxima, Server, ServerConfig, Shutdown, serve};
use crate::listen::Bound;
use crate::log::Logger;
use crate::worker::trust;

/// The most I/O threads: what they do is little beside what guests do.
const MOST: usize = 4;

/// How the I/O threads end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrontEnd {
    /// Accept no more, finish what is in flight.
    Stop,
    /// Like that; but another process goes on accepting.
    HandOver,
}

/// A shared port: its socket and its apps.
#[derive(Clone)]
pub(crate) struct SharedPort {
    pub(crate) socket: Arc<Bound>,
    pub(crate) shared: Arc<Shared>,
    /// The largest limits of its apps: what is beyond a single app's is refused when the app is known.
    maxima: Arc<Maxima>,
}

impl SharedPort {
    /// A port without apps.
    pub(crate) fn new(socket: Arc<Bound>) -> Self {
        Self { socket, shared: Arc::default(), maxima: Arc::default() }
    }

    /// An app with these limits is served on it.
    pub(crate) fn admit(&self, limits: &Limits) {
        let (head, url) = (limits.size(Limit::Headers), limits.size(Limit::Url));
        self.maxima.admit(head, url, limits.get(Limit::Body));
    }
}

/// The I/O threads of a host. They end when it is dropped.
pub(crate) struct Front {
    ends: Vec<oneshot::Sender<FrontEnd>>,
    over: Vec<oneshot::Receiver<()>>,
}

impl Front {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system gives no thread, or no random numbers.
    pub(crate) fn start(ports: &[SharedPort], config: &Arc<HostConfig>, logger: &Logger) -> io::Result<Self> {
        let count = std::thread::available_parallelism().map_or(1, usize::from).min(MOST);
        let mut front = Self { ends: Vec::new(), over: Vec::new() };
        for _ in 0..count {
            let (end, ended) = oneshot::channel();
            let (over, when_over) = oneshot::channel();
            let (ports, config, logger) = (ports.to_vec(), config.clone(), logger.clone());
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
            std::thread::Builder::new().name("nexus-front".into()).spawn(move || {
                LocalSet::new().block_on(&runtime, run(ports, &config, &logger, ended));
                let _ = over.send(());
            })?;
            front.ends.push(end);
            front.over.push(when_over);
        }
        Ok(front)
    }

    /// Has them end. The future resolves when all have.
    pub(crate) fn end(&mut self, how: FrontEnd) -> impl Future<Output = ()> + use<> {
        for end in self.ends.drain(..) {
            let _ = end.send(how);
        }
        let over = std::mem::take(&mut self.over);
        async move {
            join_all(over).await;
        }
    }
}

async fn run(
    ports: Vec<SharedPort>,
    config: &HostConfig,
    logger: &Logger,
    ended: oneshot::Receiver<FrontEnd>,
) {
    let shutdown = Shutdown::new();
    let mut servers = Vec::new();
    for port in &ports {
        let service = match FrontService::new(port.shared.clone(), logger.clone()) {
            Ok(service) => Rc::new(service),
            Err(error) => {
                logger.host(Level::Error, format!("no random numbers are to be had: {error}"), []);
                return;
            }
        };
        let returns = service.clone();
        tokio::task::spawn_local(async move { returns.take_returns().await });
        let wakes = service.clone();
        tokio::task::spawn_local(async move { wakes.wake_workers().await });
        let deadlines = service.clone();
        tokio::task::spawn_local(async move { deadlines.enforce_deadlines().await });
        let server = Server {
            service,
            config: ServerConfig {
                maxima: Some(port.maxima.clone()),
                trust: trust(config),
                ..ServerConfig::default()
            },
            shutdown: shutdown.clone(),
            open: Arc::default(),
            connections: Arc::default(),
            inbox: Inbox::new(),
        };
        servers.push(serve(Listener::of(&port.socket), server));
    }
    let signal = async {
        match ended.await {
            Ok(FrontEnd::HandOver) => shutdown.drain(),
            // A host that is gone wants nothing any more.
            Ok(FrontEnd::Stop) | Err(_) => shutdown.begin(),
        }
        std::future::pending::<()>().await;
    };
    let serving = std::pin::pin!(join_all(servers));
    select(serving, std::pin::pin!(signal)).await;
}
