//! How a worker serves its connections: its service, its server with the app's limits, its listener.

use std::rc::Rc;
use std::sync::Arc;

use nexus_core::{HostConfig, Limit};

use super::service::WorkerService;
use super::{Start, Worker};
use crate::assets::Assets;
use crate::http::{Listener, Server, ServerConfig, Shutdown, Trust, serve};
use crate::listen::Bound;

/// What answers the worker's requests.
pub(super) fn service(start: &Start, worker: &Arc<Worker>) -> Result<WorkerService, String> {
    let app = &start.app;
    let assets =
        match &app.manifest.assets {
            Some(section) => {
                let folder = app.folder.join(&section.folder);
                let assets = Assets::new(&folder, start.pool.clone());
                Some(assets.map_err(|error| {
                    format!("cannot open the assets' folder {}: {error}", folder.display())
                })?)
            }
            None => None,
        };
    let service = WorkerService::new(worker.clone(), start.logger.clone(), start.config.log.access, assets);
    service.map_err(|error| format!("no random numbers are to be had: {error}"))
}

/// Whose forwarded headers are believed.
pub(crate) fn trust(config: &HostConfig) -> Trust {
    let trusted = config.listen.trusted_proxies.clone();
    if trusted.is_empty() {
        return Trust::nobody();
    }
    Trust::of(move |client| match client {
        nexus_guest::ClientAddress::Ip(ip, _) => trusted.iter().any(|net| net.contains(ip)),
        // Who may connect to a Unix socket is for its folder's permissions to say.
        nexus_guest::ClientAddress::Unix => true,
        // It comes with no connection that a header could say more about.
        nexus_guest::ClientAddress::Inside => false,
    })
}

/// What serves its connections, within the app's limits.
pub(super) fn server(
    start: &Start,
    worker: &Worker,
    service: &Rc<WorkerService>,
    shutdown: &Shutdown,
) -> Server {
    let limits = &start.app.manifest.limits;
    let config = ServerConfig {
        max_head: limits.size(Limit::Headers),
        max_body: limits.get(Limit::Body),
        max_url: limits.size(Limit::Url),
        body_timeout: limits.time(Limit::Idle),
        write_timeout: limits.time(Limit::Idle),
        max_connections: limits.size(Limit::Connections),
        trust: trust(&start.config),
        ..ServerConfig::default()
    };
    Server {
        service: service.clone(),
        config,
        shutdown: shutdown.clone(),
        open: worker.connections.clone(),
        connections: worker.open.clone(),
        inbox: worker.inbox.clone(),
    }
}

/// Accepts connections until the server is shut down.
pub(super) async fn accept(socket: Arc<Bound>, server: Server) {
    let service = server.service.clone();
    if let Err(error) = serve(Listener::of(&socket), server).await {
        service.accept_failed(&error);
    }
}
