//! All shared ports of a host: those that it starts with, and those that come with apps later.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::join_all;
use nexus_core::{App, AppName, HostConfig, Router};

use super::thread::{Front, FrontEnd, SharedPort};
use crate::crew::{Entry, Registry};
use crate::discover;
use crate::listen::Bound;
use crate::log::Logger;

/// The shared ports, and the I/O threads that answer there.
pub(crate) struct Fronts {
    config: Arc<HostConfig>,
    logger: Logger,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    ports: Vec<Port>,
    /// The threads for all ports that the host started with.
    first: Option<Front>,
    /// Whether they are to end, and no other port is to be opened.
    has_ended: bool,
}

struct Port {
    port: SharedPort,
    /// Its own threads, for one that came later.
    own: Option<Front>,
}

impl Fronts {
    /// Starts what answers on the shared ports of these apps.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(registry: &Registry, config: &Arc<HostConfig>, logger: &Logger) -> io::Result<Self> {
        let fronts = Self { config: config.clone(), logger: logger.clone(), inner: Mutex::default() };
        let mut inner = fronts.inner();
        for entry in registry.all().iter().filter(|entry| entry.is_shared()) {
            let socket = entry.socket();
            if !inner.ports.iter().any(|known| Arc::ptr_eq(&known.port.socket, &socket)) {
                inner.ports.push(Port { port: SharedPort::new(socket), own: None });
            }
        }
        let ports: Vec<SharedPort> = inner.ports.iter().map(|port| port.port.clone()).collect();
        for port in &ports {
            route(registry, port);
        }
        if !ports.is_empty() {
            inner.first = Some(Front::start(&ports, config, logger)?);
        }
        drop(inner);
        Ok(fronts)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Each change leaves it whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an app can be served beside those on this socket; `but` is the one whose place it takes, if there is one.
    ///
    /// # Errors
    /// Which app claims the same, and what to do.
    pub(crate) fn fits(
        registry: &Registry,
        socket: &Arc<Bound>,
        app: &App,
        but: Option<usize>,
    ) -> Result<(), String> {
        let mut router: Router<AppName> = Router::default();
        for entry in on(registry, socket).filter(|entry| Some(entry.index) != but) {
            let app = entry.app();
            let claimed = entry.claimed();
            for http in [Some(&app.manifest.http), claimed.as_deref()].into_iter().flatten() {
                let _ = router.insert(Some(&http.hosts), Some(&http.paths), app.name().clone());
            }
        }
        let http = &app.manifest.http;
        router
            .insert(Some(&http.hosts), Some(&http.paths), app.name().clone())
            .map_err(|conflict| discover::claimed_before(app, &conflict).to_string())
    }

    /// Routes the requests of this socket to the apps that are served there now. It is opened if it was not, and closed
    /// when the last app has gone.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn route(&self, registry: &Registry, socket: &Arc<Bound>) -> io::Result<()> {
        let mut inner = self.inner();
        if inner.has_ended {
            return Ok(());
        }
        let at = inner.ports.iter().position(|known| Arc::ptr_eq(&known.port.socket, socket));
        match (at, on(registry, socket).next()) {
            (Some(at), None) => {
                let mut gone = inner.ports.swap_remove(at);
                route(registry, &gone.port);
                if let Some(own) = &mut gone.own {
                    // They finish what they have; nobody waits for them.
                    drop(own.end(FrontEnd::Stop));
                }
            }
            (Some(at), Some(_)) => route(registry, &inner.ports[at].port),
            (None, Some(_)) => {
                let port = SharedPort::new(socket.clone());
                route(registry, &port);
                let own = Front::start(std::slice::from_ref(&port), &self.config, &self.logger)?;
                inner.ports.push(Port { port, own: Some(own) });
            }
            (None, None) => {}
        }
        Ok(())
    }

    /// Has all threads end. The future resolves when all have.
    pub(crate) fn end(&self, how: FrontEnd) -> impl Future<Output = ()> + use<> {
        let mut inner = self.inner();
        inner.has_ended = true;
        let mut ends = Vec::new();
        ends.extend(inner.first.as_mut().map(|front| front.end(how)));
        ends.extend(inner.ports.iter_mut().filter_map(|port| Some(port.own.as_mut()?.end(how))));
        async move {
            join_all(ends).await;
        }
    }
}

/// The apps on this socket.
fn on(registry: &Registry, socket: &Arc<Bound>) -> impl Iterator<Item = Arc<Entry>> {
    let is_there = |entry: &Arc<Entry>| entry.is_shared() && Arc::ptr_eq(&entry.socket(), socket);
    registry.all().into_iter().filter(is_there).collect::<Vec<_>>().into_iter()
}

/// Has a port lead to the apps that are served there now, and take what the largest of their limits allow.
fn route(registry: &Registry, port: &SharedPort) {
    let mut router = Router::default();
    for entry in on(registry, &port.socket).filter(|entry| entry.is_routed()) {
        let app = entry.app();
        port.admit(&app.manifest.limits);
        let http = &app.manifest.http;
        // Those that are in conflict were refused before.
        let _ = router.insert(Some(&http.hosts), Some(&http.paths), entry);
    }
    port.shared.route(router);
}
