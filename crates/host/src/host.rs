//! The host: apps, their sockets, their workers, from start to stop.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nexus_core::{App, HostConfig, Router};
use nexus_guest::{Engine, Level};
use tokio::sync::{mpsc, oneshot};

use crate::admin::{Admin, AdminSocket, Setup};
use crate::aside::Aside;
use crate::crew::{Entry, Registry};
use crate::discover::Found;
use crate::front::{Front, FrontEnd, SharedPort};
use crate::ledger::Ledger;
use crate::listen::{ListenError, Sockets};
use crate::log::Logger;
use crate::pool::Pool;
use crate::reload::{Reloader, Watch, Watched};
use crate::seat::{SET_ASIDE, Seat};
use crate::watchdog::Watchdog;
use crate::worker::{self, Control};

/// How long the start-up table waits for apps that take long to load: if some serve by then, and if none does. To compile
/// a large WebAssembly component takes that long.
const START_WAIT: Duration = Duration::from_secs(10);
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// What a host is started with.
pub struct Options {
    /// The host's configuration, command line included.
    pub config: HostConfig,
    /// The apps, also those that cannot be served.
    pub apps: Vec<Found>,
    /// Variables for every app; they come before those of its manifest.
    pub env: Vec<(String, String)>,
    /// The engines, of which each app takes the first that runs its main file.
    pub engines: Vec<Arc<dyn Engine>>,
    /// The process's log.
    pub logger: Logger,
    /// Labels of the metric `nexus_build_info`.
    pub build: Vec<(&'static str, String)>,
    /// Whether apps whose files change are loaded anew.
    pub watch: bool,
}

/// Why a host could not start at all.
#[derive(Debug)]
pub struct StartError(String);

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StartError {}

impl From<ListenError> for StartError {
    fn from(error: ListenError) -> Self {
        Self(error.to_string())
    }
}

/// How an app fares, for the start-up table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppState {
    /// The app's name, or its folder's where the manifest gives none.
    pub name: String,
    /// The app's folder.
    pub folder: PathBuf,
    /// The main file, relative to the folder.
    pub main: Option<String>,
    /// Where it is served, or why it is not.
    pub serving: Result<String, String>,
    /// Whether its manifest is right and its address was to be had: if it is not served, its code is why.
    pub has_worker: bool,
    /// Whether it is set aside: its requests are answered by the host, with 503.
    pub is_aside: bool,
}

/// What a running host tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// This app serves, or has failed, after [`Host::started`].
    App(AppState),
    /// Lost workers hold so much that the process should be replaced by a fresh one; the text says how much. Told once.
    Spent(String),
}

/// What the host's own parts tell it.
#[derive(Debug)]
pub(crate) enum Told {
    /// This app serves, or has failed.
    App(usize),
    /// See [`Happening::Spent`].
    Spent(String),
}

/// A running host.
pub struct Host {
    registry: Arc<Registry>,
    blanks: Pool,
    states: Vec<State>,
    _watch: Option<Watch>,
    front: Option<Front>,
    told: mpsc::UnboundedReceiver<Told>,
    /// Set until it is told.
    spent: Option<String>,
    admin: Option<Admin>,
    /// What the admin thread is started with; at once, or when this host takes over.
    admin_setup: Option<Setup>,
    /// Whether another host serves on the same sockets until this one takes over.
    is_second: bool,
    aside: Option<Aside>,
    admin_url: Option<String>,
    sockets: Sockets,
    logger: Logger,
}

/// An app of the table: refused before it got a worker, or an entry of the registry.
enum State {
    Refused(AppState),
    Entry(Arc<Entry>),
}

impl Host {
    /// Binds the apps' sockets and starts their workers. Must run within a tokio runtime, whose blocking threads
    /// do the blocking work of all workers.
    ///
    /// # Errors
    /// When the admin address cannot be bound, or systemd's sockets are missing. What is wrong with a single app
    /// is in its [`AppState`].
    pub fn start(options: Options) -> Result<Self, StartError> {
        let sockets = Sockets::bind(&options.config, &options.apps)?;
        Self::start_on(options, Seat::alone(sockets))
    }

    /// Starts the workers of the seat's apps on sockets that are bound already, for the same apps; see [`Host::start`].
    ///
    /// # Errors
    /// When the system gives no thread for the admin address.
    pub fn start_on(options: Options, seat: Seat) -> Result<Self, StartError> {
        let Options { config, apps, env, engines, logger, build, watch } = options;
        let config = Arc::new(config);
        let sockets = seat.sockets().clone();

        let (events_in, events) = mpsc::unbounded_channel();
        let mut states = Vec::with_capacity(apps.len());
        let ledger = Ledger::new(config.process.memory, seat.hosts());
        let watchdog = Watchdog::start(ledger, logger.clone())
            .map_err(|error| StartError(format!("cannot start the watchdog's thread: {error}")))?;
        let registry = Registry::new(watchdog.clone(), seat.clone(), watch, logger.clone());
        let blanks = {
            let watchdog = watchdog.clone();
            Pool::new(&engines, move || watchdog.ledger().admits_a_guest())
        };
        let mut watched = Vec::new();
        let mut aside = Vec::new();
        for (place, found) in apps.into_iter().enumerate().filter(|(place, _)| seat.has(*place)) {
            let folder = found.folder;
            let app = match found.app {
                Ok(app) => Arc::new(app),
                Err(problems) => {
                    let name = folder
                        .file_name()
                        .map_or_else(|| folder.display().to_string(), |n| n.to_string_lossy().into());
                    let serving = Err(problems.to_string());
                    states.push(State::Refused(AppState {
                        name,
                        folder,
                        main: None,
                        serving,
                        has_worker: false,
                        is_aside: false,
                    }));
                    continue;
                }
            };
            if seat.aside.contains(&place) {
                aside.extend(sockets.app(place));
                states.push(State::Refused(AppState {
                    name: app.name().to_string(),
                    folder,
                    main: app.main.clone(),
                    serving: Err(format!("it is set aside: {SET_ASIDE}")),
                    has_worker: false,
                    is_aside: true,
                }));
                continue;
            }
            let engine = engine_for(&app, &engines);
            let started =
                engine.and_then(|engine| Ok((engine, sockets.app(place)?))).and_then(|(engine, socket)| {
                    let start = worker::Start {
                        app: app.clone(),
                        index: place,
                        engine,
                        mail: app.manifest.http.is_shared().then(Arc::default),
                        socket,
                        config: config.clone(),
                        env: variables(&app, &env),
                        logger: logger.clone(),
                        pool: tokio::runtime::Handle::current(),
                        events: events_in.clone(),
                        watchdog: watchdog.clone(),
                        interventions: Arc::default(),
                        blanks: blanks.clone(),
                    };
                    let entry = Arc::new(Entry::new(Arc::new(start), place));
                    registry
                        .start_first(&entry)
                        .map_err(|error| format!("cannot start a worker's thread: {error}"))?;
                    Ok(entry)
                });
            match started {
                Ok(entry) => {
                    states.push(State::Entry(entry.clone()));
                    watched.push(Watched { folder: app.folder.clone(), entry: entry.clone(), path: folder });
                    registry.add(entry);
                }
                Err(error) => {
                    if let Ok(socket) = sockets.app(place) {
                        // No host will accept from it.
                        sockets.close_one(&socket);
                    }
                    states.push(State::Refused(AppState {
                        name: app.name().to_string(),
                        folder,
                        main: app.main.clone(),
                        serving: Err(error),
                        has_worker: false,
                        is_aside: false,
                    }));
                }
            }
        }
        let aside = (!aside.is_empty()).then(|| Aside::start(aside, logger.clone())).transpose();
        let aside = aside
            .map_err(|error| StartError(format!("cannot start the thread of apps set aside: {error}")))?;
        let registry = Arc::new(registry);
        let (tell, told) = mpsc::unbounded_channel();
        tokio::spawn(registry.clone().tend(events, tell));
        let watch = watch.then(|| {
            let reloader = Reloader {
                registry: registry.clone(),
                config: config.clone(),
                env,
                engines,
                logger: logger.clone(),
            };
            Watch::start(Arc::new(reloader), watched)
        });
        let watch = watch.transpose().map_err(StartError)?;
        let front = start_front(&registry, &config, &logger)
            .map_err(|error| StartError(format!("cannot start the threads of shared ports: {error}")))?;
        let admin_url = sockets.admin().map(|socket| socket.url());
        let mut host = Self {
            registry,
            blanks,
            states,
            told,
            _watch: watch,
            front,
            spent: None,
            admin: None,
            admin_setup: admin_setup(&seat, build),
            is_second: seat.takes_over,
            aside,
            admin_url,
            sockets,
            logger,
        };
        if !host.is_second {
            host.start_admin()
                .map_err(|error| StartError(format!("cannot start the admin thread: {error}")))?;
        }
        Ok(host)
    }

    fn start_admin(&mut self) -> std::io::Result<()> {
        if let Some(setup) = self.admin_setup.take() {
            self.admin = Some(Admin::start(setup, self.registry.clone(), self.logger.clone())?);
        }
        Ok(())
    }

    /// Waits until every app serves or has failed, and says how each fares: for ten seconds at most if some serve by
    /// then, and five minutes if none does. What takes longer is told by [`Host::next`].
    pub async fn started(&mut self) -> Vec<AppState> {
        let registry = self.registry.clone();
        let serves = || registry.all().iter().any(|entry| matches!(entry.outcome.get(), Some(Ok(_))));
        let begun = Instant::now();
        let all = async {
            // Each app is told of once; what is left here would be told again by `next`.
            let mut left = self.registry.all().len();
            while left > 0 {
                let now = begun.elapsed();
                if now >= LONGEST_WAIT || (now >= START_WAIT && serves()) {
                    break;
                }
                let wait = if now < START_WAIT { START_WAIT } else { LONGEST_WAIT } - now;
                let Ok(told) = tokio::time::timeout(wait, self.told.recv()).await else { continue };
                match told {
                    Some(Told::App(_)) => left -= 1,
                    Some(Told::Spent(spent)) => self.spent = Some(spent),
                    None => break,
                }
            }
        };
        all.await;
        self.blanks.fill();
        self.states.iter().map(|state| self.state(state)).collect()
    }

    /// From here on this host answers for all apps, also for those that it does not serve. To be called once it has
    /// started; only what concerns a host that takes over from another one waits for it.
    pub fn take_over(&mut self) {
        if !std::mem::take(&mut self.is_second) {
            return;
        }
        self.registry.take_over();
        for entry in self.registry.all() {
            if let Some(Err(_)) = entry.outcome.get() {
                self.sockets.close_one(&entry.socket());
            }
        }
        if let Err(error) = self.start_admin() {
            self.logger.host(Level::Error, format!("cannot start the admin thread: {error}"), []);
        }
    }

    /// Waits for the next thing that happens after [`Host::started`]; for ever if nothing does.
    pub async fn next(&mut self) -> Happening {
        if let Some(spent) = self.spent.take() {
            return Happening::Spent(spent);
        }
        match self.told.recv().await {
            Some(Told::App(index)) => match self.registry.entry(index) {
                Some(entry) => Happening::App(self.state(&State::Entry(entry))),
                // It is gone by now.
                None => Box::pin(self.next()).await,
            },
            Some(Told::Spent(spent)) => Happening::Spent(spent),
            None => std::future::pending().await,
        }
    }

    /// A handle that removes the files of the host's Unix sockets, for a process that ends without [`Host::stop`].
    pub fn sockets(&self) -> Sockets {
        self.sockets.clone()
    }

    fn state(&self, state: &State) -> AppState {
        match state {
            State::Refused(state) => state.clone(),
            State::Entry(entry) => {
                let app = entry.app();
                AppState {
                    name: app.name().to_string(),
                    folder: app.folder.clone(),
                    main: app.main.clone(),
                    serving: match entry.outcome.get() {
                        Some(Ok(_)) => Ok(entry.url()),
                        Some(Err(error)) => Err(error.clone()),
                        None => Err("it is still being loaded".into()),
                    },
                    has_worker: true,
                    is_aside: false,
                }
            }
        }
    }

    /// Where metrics and health are served.
    pub fn admin_url(&self) -> Option<&str> {
        self.admin_url.as_deref()
    }

    /// Stops: accepts no more, lets what is in flight finish for up to `grace`. Gives how many workers had not
    /// finished by then; the process is to end anyway.
    pub async fn stop(mut self, grace: Duration) -> usize {
        if let Some(admin) = &self.admin {
            admin.stopping();
        }
        let grace = self.end_front(FrontEnd::Stop, grace).await;
        let workers = self.registry.stop(|| Control::Stop);
        if !self.is_second {
            self.sockets.close();
        }
        self.blanks.end();
        let left = self.finish(workers, grace).await;
        self.sockets.release();
        left
    }

    /// Stops like [`Host::stop`], while another process accepts from the same sockets: connections that are idle may
    /// send one more request for a while, and no new one is refused.
    pub async fn hand_over(mut self, grace: Duration) -> usize {
        if let Some(admin) = &mut self.admin {
            admin.hand_over();
        }
        drop(self.aside.take());
        let grace = self.end_front(FrontEnd::HandOver, grace).await;
        let workers = self.registry.stop(|| Control::HandOver);
        self.blanks.end();
        self.finish(workers, grace).await
    }

    /// Has the shared ports' connections finish, as long as there are workers. Gives what is left of the time.
    async fn end_front(&mut self, how: FrontEnd, grace: Duration) -> Duration {
        let begun = Instant::now();
        if let Some(front) = &mut self.front {
            if how == FrontEnd::Stop && !self.is_second {
                self.sockets.close();
            }
            let _ = tokio::time::timeout(grace, front.end(how)).await;
        }
        grace.saturating_sub(begun.elapsed())
    }

    /// Waits for the workers, gives how many had not finished in time.
    async fn finish(&self, workers: Vec<oneshot::Receiver<()>>, grace: Duration) -> usize {
        let deadline = tokio::time::Instant::now() + grace;
        let mut left = 0;
        for over in workers {
            if tokio::time::timeout_at(deadline, over).await.is_err() {
                left += 1;
            }
        }
        if left > 0 {
            let message = format!(
                "{left} workers were still busy after the grace period: what they had in flight is cut off"
            );
            self.logger.host(Level::Warn, message, []);
        }
        left
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Whoever drops it without stopping it wants none of its workers any more.
        self.registry.stop(|| Control::Stop);
        self.blanks.end();
        self.registry.watchdog.end();
    }
}

/// What the host's admin thread is started with, if it has anybody to answer.
fn admin_setup(seat: &Seat, build: Vec<(&'static str, String)>) -> Option<Setup> {
    let portion = seat.portion.as_ref();
    let socket = match portion.and_then(|portion| portion.socket.clone()) {
        Some(socket) => AdminSocket::Private(socket),
        None => AdminSocket::Public(seat.sockets().admin()?),
    };
    let siblings = portion.map(|portion| portion.siblings.clone()).unwrap_or_default();
    Some(Setup { socket, number: seat.number().unwrap_or(1), siblings, build })
}

/// Starts what answers on shared ports, if there is one.
fn start_front(
    registry: &Registry,
    config: &Arc<HostConfig>,
    logger: &Logger,
) -> std::io::Result<Option<Front>> {
    let mut ports: Vec<(SharedPort, Router<Arc<Entry>>)> = Vec::new();
    for entry in registry.all().into_iter().filter(|entry| entry.mail().is_some()) {
        let (app, socket) = (entry.app(), entry.socket());
        let at = ports.iter().position(|(port, _)| Arc::ptr_eq(&port.socket, &socket));
        let at = at.unwrap_or_else(|| {
            ports.push((SharedPort::new(socket), Router::default()));
            ports.len() - 1
        });
        let (port, router) = &mut ports[at];
        port.admit(&app.manifest.limits);
        let http = &app.manifest.http;
        // Those that are in conflict were refused before.
        let _ = router.insert(Some(&http.hosts), Some(&http.paths), entry);
    }
    if ports.is_empty() {
        return Ok(None);
    }
    let start = |(port, router): (SharedPort, Router<Arc<Entry>>)| {
        port.shared.route(router);
        port
    };
    let ports: Vec<SharedPort> = ports.into_iter().map(start).collect();
    Front::start(&ports, config, logger).map(Some)
}

/// What runs the app's code; nothing for an app of static files only.
pub(crate) fn engine_for(app: &App, engines: &[Arc<dyn Engine>]) -> Result<Option<Arc<dyn Engine>>, String> {
    let Some(main) = &app.main else { return Ok(None) };
    let engine = engines.iter().find(|engine| engine.runs(main));
    Ok(Some(engine.ok_or_else(|| format!("no engine runs the main file `{main}`"))?.clone()))
}

/// The app's variables: those of the command line come before those of its manifest.
pub(crate) fn variables(app: &App, env: &[(String, String)]) -> Vec<(String, String)> {
    let mut variables = app.manifest.env.clone();
    for (name, value) in env {
        match variables.iter_mut().find(|(own, _)| own == name) {
            Some(own) => own.1.clone_from(value),
            None => variables.push((name.clone(), value.clone())),
        }
    }
    variables
}
