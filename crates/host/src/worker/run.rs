//! A worker's thread: its event loop, and its guest's life.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::future::{Either, select};
use nexus_core::Limit;
use nexus_guest::{
    Abandon, Engine, Failure, FailureKind, Guest, Level, LoadError, Services, Stop, StopReason,
};
use tokio::sync::mpsc;
use tokio::task::LocalSet;

use super::service::{Place, WorkerService};
use super::{Control, Event, Start};
use crate::assets::Assets;
use crate::http::{Listener, Server, ServerConfig, Shutdown, Trust, abandon_connections, serve};
use crate::listen::Bound;
use crate::modules::FolderModules;

/// After a failure to load a guest anew, the next attempt waits this long, doubled each time up to the maximum.
const MIN_BACK_OFF: Duration = Duration::from_millis(100);
const MAX_BACK_OFF: Duration = Duration::from_secs(30);
/// A guest that ends within this time after it was loaded ended early.
const EARLY: Duration = Duration::from_secs(1);

/// Runs a worker to its end. A panic in the host's own code ends the guest and its connections; the worker starts
/// over.
pub(super) fn thread(index: usize, start: Start, mut commands: mpsc::UnboundedReceiver<Control>) {
    start.stats.started();
    let mut announced = false;
    loop {
        let run = catch_unwind(AssertUnwindSafe(|| event_loop(index, &start, &mut commands, &mut announced)));
        match run {
            Ok(Ok(())) => return,
            Ok(Err(error)) => {
                let _ = start.events.send(Event::Failed { app: index, error });
                return;
            }
            Err(_) => {
                start.logger.host(
                    Level::Error,
                    "a worker's thread panicked and starts over",
                    [("app", start.app.name().as_str().into())],
                );
                start.app_stats.stopped(StopReason::Engine);
                std::thread::sleep(MIN_BACK_OFF);
            }
        }
    }
}

fn event_loop(
    index: usize,
    start: &Start,
    commands: &mut mpsc::UnboundedReceiver<Control>,
    announced: &mut bool,
) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    let runtime = runtime.map_err(|error| format!("cannot start an event loop: {error}"))?;
    let local = LocalSet::new();
    let result = local.block_on(&runtime, work(index, start, commands, announced));
    // Connections that are left hold the guest; they go first.
    drop(local);
    result
}

async fn work(
    index: usize,
    start: &Start,
    commands: &mut mpsc::UnboundedReceiver<Control>,
    announced: &mut bool,
) -> Result<(), String> {
    let app = start.app.clone();
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
    let service = WorkerService::new(
        app.clone(),
        start.number,
        start.logger.clone(),
        start.app_stats.clone(),
        start.config.log.access,
        assets,
    );
    let service = Rc::new(service.map_err(|error| format!("no random numbers are to be had: {error}"))?);
    let shutdown = Shutdown::new();

    let begun = Instant::now();
    let mut guest = match &start.engine {
        Some(engine) => {
            let loading = std::pin::pin!(load(index, engine.as_ref(), start));
            match select(loading, std::pin::pin!(stop_command(commands, None, start))).await {
                Either::Left((loaded, _)) => Some(loaded.map_err(|error| error.to_string())?),
                Either::Right(_) => return Ok(()),
            }
        }
        None => None,
    };
    start.app_stats.cold_start(begun.elapsed());
    service.guest_is(guest.clone().map_or(Place::Absent, Place::Ready));
    if !std::mem::replace(announced, true) {
        let _ = start.events.send(Event::Serving { app: index, took: begun.elapsed() });
    }

    let deadlines = service.clone();
    tokio::task::spawn_local(async move { deadlines.enforce_deadlines().await });
    let server = tokio::task::spawn_local(accept(start.socket.clone(), server(start, &service, &shutdown)));

    let mut born = Instant::now();
    let mut early_ends = 0;
    'serving: loop {
        let stop = {
            let drive = std::pin::pin!(drive(guest.clone()));
            let stop = std::pin::pin!(stop_command(commands, guest.clone(), start));
            match select(drive, stop).await {
                Either::Left((stop, _)) => stop,
                Either::Right(_) => break,
            }
        };
        start.app_stats.stopped(stop.reason);
        service.log(None, Level::Error, format!("the guest was stopped: {}", stop.detail));
        // Whoever comes now waits for the next guest. The old one goes before the new one is made: of two isolates of
        // a thread the younger must go first.
        service.guest_is(Place::Loading);
        guest = None;
        let Some(engine) = &start.engine else { continue };
        // A guest that ends as soon as it is loaded, again and again, gets no more than its share of loading.
        early_ends = if born.elapsed() < EARLY { early_ends + 1 } else { 0 };
        if early_ends > 1 {
            let wait = std::pin::pin!(tokio::time::sleep((MIN_BACK_OFF * early_ends).min(EARLY)));
            if let Either::Right(_) = select(wait, std::pin::pin!(stop_command(commands, None, start))).await
            {
                break;
            }
        }
        let mut back_off = MIN_BACK_OFF;
        while guest.is_none() {
            let begun = Instant::now();
            let loaded = {
                let loading = std::pin::pin!(load(index, engine.as_ref(), start));
                match select(loading, std::pin::pin!(stop_command(commands, None, start))).await {
                    Either::Left((loaded, _)) => loaded,
                    Either::Right(_) => break 'serving,
                }
            };
            match loaded {
                Ok(fresh) => {
                    start.app_stats.cold_start(begun.elapsed());
                    service.guest_is(Place::Ready(fresh.clone()));
                    guest = Some(fresh);
                    born = Instant::now();
                }
                Err(error) => {
                    service.guest_is(Place::Absent);
                    service.log(None, Level::Error, format!("the app cannot be loaded any more: {error}"));
                    let wait = std::pin::pin!(tokio::time::sleep(back_off));
                    let stop = std::pin::pin!(stop_command(commands, None, start));
                    if let Either::Right(_) = select(wait, stop).await {
                        break 'serving;
                    }
                    back_off = (back_off * 2).min(MAX_BACK_OFF);
                }
            }
        }
    }

    if start.hands_over.get() {
        shutdown.drain();
    }
    finish(&shutdown, server, guest).await;
    service.guest_is(Place::Absent);
    Ok(())
}

fn server(start: &Start, service: &Rc<WorkerService>, shutdown: &Shutdown) -> Server {
    let limits = &start.app.manifest.limits;
    let trusted = start.config.listen.trusted_proxies.clone();
    let trust = if trusted.is_empty() {
        Trust::nobody()
    } else {
        Trust::of(move |client| match client {
            nexus_guest::ClientAddress::Ip(ip, _) => trusted.iter().any(|net| net.contains(ip)),
            // Who may connect to a Unix socket is for its folder's permissions to say.
            nexus_guest::ClientAddress::Unix => true,
        })
    };
    let config = ServerConfig {
        max_head: limits.size(Limit::Headers),
        max_body: limits.get(Limit::Body),
        max_url: limits.size(Limit::Url),
        body_timeout: limits.time(Limit::Idle),
        write_timeout: limits.time(Limit::Idle),
        max_connections: limits.size(Limit::Connections),
        trust,
        ..ServerConfig::default()
    };
    Server { service: service.clone(), config, shutdown: shutdown.clone(), open: start.connections.clone() }
}

async fn accept(socket: std::sync::Arc<Bound>, server: Server) {
    let listener = match &*socket {
        Bound::Tcp(listener) => Listener::Tcp(listener),
        Bound::Unix(listener, _) => Listener::Unix(listener),
    };
    let service = server.service.clone();
    if let Err(error) = serve(listener, server).await {
        service.accept_failed(&error);
    }
}

/// Has the host start another worker for an app whose worker's thread is lost.
struct Lost {
    app: usize,
    events: mpsc::UnboundedSender<Event>,
}

impl Abandon for Lost {
    fn abandon(&self, stop: Stop) {
        abandon_connections(&Failure { kind: FailureKind::Stopped, limit: stop.limit });
        let _ = self.events.send(Event::Lost { app: self.app, stop });
    }
}

async fn load(index: usize, engine: &dyn Engine, start: &Start) -> Result<Rc<dyn Guest>, LoadError> {
    let modules = FolderModules::new(&start.app.folder);
    let modules =
        modules.map_err(|error| LoadError::new(format!("cannot open the app's folder: {error}")))?;
    let services = Services {
        log: Rc::new(start.logger.app(start.app.name().as_str(), Some(start.number))),
        modules: Rc::new(modules),
        env: start.env.clone().into(),
        limits: start.app.manifest.limits,
        watch: start.watch.clone(),
        abandon: Rc::new(Lost { app: index, events: start.events.clone() }),
    };
    engine.load(start.app.clone(), services).await
}

/// Drives the guest until it ends; for ever where there is none.
async fn drive(guest: Option<Rc<dyn Guest>>) -> Stop {
    match guest {
        Some(guest) => poll_fn(|cx| guest.poll(cx)).await,
        None => std::future::pending().await,
    }
}

/// Carries out the host's commands until it says to stop.
async fn stop_command(
    commands: &mut mpsc::UnboundedReceiver<Control>,
    guest: Option<Rc<dyn Guest>>,
    start: &Start,
) {
    loop {
        match commands.recv().await {
            Some(Control::Report(done)) => {
                report(guest.as_deref(), start);
                let _ = done.send(());
            }
            // A host that is gone wants nothing any more.
            Some(Control::Stop) | None => return,
            Some(Control::HandOver) => {
                start.hands_over.set(true);
                return;
            }
        }
    }
}

fn report(guest: Option<&dyn Guest>, start: &Start) {
    let usage = guest.map(|guest| (guest.usage(), guest.in_flight())).unwrap_or_default();
    start.stats.report(usage.0, usage.1 as u64, guest.is_some());
}

/// Finishes what is in flight: connections first, then what `waitUntil` keeps. The host bounds the time.
async fn finish(shutdown: &Shutdown, server: tokio::task::JoinHandle<()>, guest: Option<Rc<dyn Guest>>) {
    shutdown.begin();
    let drive = std::pin::pin!(drive(guest.clone()));
    if let Either::Right((_, server)) = select(server, drive).await {
        // The guest has ended, and with it all that it had in flight.
        let _ = server.await;
        return;
    }
    if let Some(guest) = guest {
        poll_fn(|cx| match guest.poll(cx) {
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending if guest.in_flight() == 0 => Poll::Ready(()),
            Poll::Pending => Poll::Pending,
        })
        .await;
    }
}
