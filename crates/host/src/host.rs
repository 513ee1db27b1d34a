//! The host: apps, their sockets, their workers, from start to stop.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nexus_core::HostConfig;
use nexus_guest::{Capabilities, Engine, Level};
use tokio::sync::{mpsc, oneshot};

use crate::admin::{Admin, AdminSocket, Setup};
use crate::aside::{self, Aside};
use crate::control::{self, Control, Token};
use crate::crew::{Entry, Registry};
use crate::discover::{self, Found};
use crate::front::{FrontEnd, Fronts};
use crate::host_env::HostEnv;
use crate::http::PATIENCE;
use crate::inside::Inside;
use crate::ledger::Ledger;
use crate::listen::Sockets;
use crate::log::Logger;
use crate::make::Maker;
use crate::manage::{self, Manager};
use crate::pool::Pool;
use crate::reload::{Reloader, Watch, Watched};
use crate::seat::{SET_ASIDE, Seat};
use crate::told::{AppState, Happening, StartError, Told};
use crate::triggers::{FromInside, Right, Triggers};
use crate::watchdog::Watchdog;
use crate::worker;

/// How long the start-up table waits for apps that take long to load: if some serve by then, and if none does. To compile
/// a large WebAssembly component takes that long.
const START_WAIT: Duration = Duration::from_secs(10);
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// How long a host that hands over waits for what is being deployed before it goes on with that.
const SOON: Duration = Duration::from_secs(1);
/// How long a worker without anything to do may take to end.
const AT_ONCE: Duration = Duration::from_millis(300);

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
    /// What makes the capabilities of their guests.
    pub capabilities: Arc<dyn Capabilities>,
    /// The process's log.
    pub logger: Logger,
    /// Labels of the metric `nexus_build_info`.
    pub build: Vec<(&'static str, String)>,
    /// Whether apps whose files change are loaded anew.
    pub watch: bool,
    /// What clients of the API must send at an IP address.
    pub token: Option<Token>,
}

/// A running host.
pub struct Host {
    registry: Arc<Registry>,
    blanks: Pool,
    states: Vec<State>,
    _watch: Option<Watch>,
    fronts: Arc<Fronts>,
    manager: Arc<Manager>,
    triggers: Arc<Triggers>,
    /// Which host fires, where one takes over from another.
    firing: Right,
    control: Option<Control>,
    /// What the thread of the API is started with; at once, or when this host takes over.
    control_setup: Option<control::Setup>,
    told: mpsc::UnboundedReceiver<Told>,
    /// What came while the apps started, and is still to be told.
    late: VecDeque<Told>,
    admin: Option<Admin>,
    /// What the admin thread is started with; at once, or when this host takes over.
    admin_setup: Option<Setup>,
    /// Whether another host serves on the same sockets until this one takes over.
    is_second: bool,
    aside: Option<Aside>,
    admin_url: Option<String>,
    control_url: Option<String>,
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
        let Options { config, apps, env, engines, capabilities, logger, build, watch, token } = options;
        let config = Arc::new(config);
        let sockets = seat.sockets().clone();

        let (events_in, events) = mpsc::unbounded_channel();
        let mut states = Vec::with_capacity(apps.len());
        let ledger = Ledger::new(config.process.memory, seat.hosts());
        let watchdog = Watchdog::start(ledger, logger.clone())
            .map_err(|error| StartError(format!("cannot start the watchdog's thread: {error}")))?;
        let inside =
            Inside::new().map_err(|error| StartError(format!("no random numbers are to be had: {error}")))?;
        let inside = Arc::new(inside);
        let registry = Registry::new(watchdog.clone(), seat.clone(), inside.clone(), watch, logger.clone());
        let blanks = {
            let watchdog = watchdog.clone();
            Pool::new(&engines, config.defaults, move || watchdog.ledger().admits_a_guest())
        };
        let maker = Arc::new(Maker {
            config: config.clone(),
            env,
            host_env: Arc::new(HostEnv::of_process()),
            engines,
            logger: logger.clone(),
            capabilities,
            grants: Arc::default(),
            pool: tokio::runtime::Handle::current(),
            events: events_in,
            watchdog: watchdog.clone(),
            blanks: blanks.clone(),
            inside,
            watches: watch,
        });
        let count = apps.len();
        let mut watched = Vec::new();
        let mut aside = Vec::new();
        for (place, found) in apps.into_iter().enumerate().filter(|(place, _)| seat.has(*place)) {
            let folder = found.folder;
            let app = match found.app {
                Ok(app) => Arc::new(discover::by_now(&folder, app, &config)),
                Err(problems) => {
                    let name = folder
                        .file_name()
                        .map_or_else(|| folder.display().to_string(), |n| n.to_string_lossy().into());
                    watched.push(Watched::refused(folder.clone()));
                    let state = AppState::refused(name, folder, None, problems.to_string());
                    states.push(State::Refused(state));
                    continue;
                }
            };
            if seat.aside.contains(&place) {
                aside.extend(sockets.app(place));
                let why = format!("it is set aside: {SET_ASIDE}");
                let state = AppState::refused(app.name().to_string(), folder, app.main.clone(), why);
                states.push(State::Refused(AppState { is_aside: true, ..state }));
                continue;
            }
            let started = sockets.app(place).and_then(|socket| {
                let entry = maker.entry(app.clone(), place, socket, None)?;
                registry
                    .start_first(&entry)
                    .map_err(|error| format!("cannot start a worker's thread: {error}"))?;
                Ok(entry)
            });
            match started {
                Ok(entry) => {
                    states.push(State::Entry(entry.clone()));
                    watched.push(Watched::served(folder, entry.clone()));
                    registry.add(entry);
                }
                Err(error) => {
                    if let Ok(socket) = sockets.app(place) {
                        // No host will accept from it.
                        sockets.close_one(&socket);
                    }
                    watched.push(Watched::refused(folder.clone()));
                    let state = AppState::refused(app.name().to_string(), folder, app.main.clone(), error);
                    states.push(State::Refused(state));
                }
            }
        }
        let aside =
            (!aside.is_empty()).then(|| Aside::start(aside, aside::SET_ASIDE, logger.clone())).transpose();
        let aside = aside
            .map_err(|error| StartError(format!("cannot start the thread of apps set aside: {error}")))?;
        let registry = Arc::new(registry);
        let (tell, told) = mpsc::unbounded_channel();
        tokio::spawn(registry.clone().tend(events, tell.clone()));
        let fronts = Fronts::start(&registry, &config, &logger)
            .map_err(|error| StartError(format!("cannot start the threads of shared ports: {error}")))?;
        let fronts = Arc::new(fronts);
        let refused = states.iter().filter_map(|state| match state {
            State::Refused(state) => Some(state.clone()),
            State::Entry(_) => None,
        });
        let changed = registry.changed.clone();
        let deliver = FromInside { inside: maker.inside.clone(), pool: maker.pool.clone() };
        let triggers = Arc::new(Triggers::new(registry.clone(), Box::new(deliver), changed, logger.clone()));
        let manager = Arc::new(Manager::new(manage::Setup {
            registry: registry.clone(),
            maker: maker.clone(),
            fronts: fronts.clone(),
            refused: refused.collect(),
            first: count,
            triggers: triggers.clone(),
            told: tell,
        }));
        let watch = watch.then(|| {
            let reloader = Reloader { manager: manager.clone(), maker };
            Watch::start(Arc::new(reloader), watched)
        });
        let watch = watch.transpose().map_err(StartError)?;
        if !seat.takes_over {
            for deployed in manager.open(Duration::ZERO).map_err(StartError)? {
                states.push(match deployed {
                    Ok(entry) => State::Entry(entry),
                    Err(state) => State::Refused(state),
                });
            }
        }
        let admin_url = sockets.admin().map(|socket| socket.url());
        let control_url = sockets.control().map(|socket| socket.url());
        let version = build.first().map(|(_, version)| version.clone()).unwrap_or_default();
        let mut host = Self {
            registry,
            blanks,
            states,
            told,
            late: VecDeque::new(),
            _watch: watch,
            fronts,
            manager,
            triggers,
            firing: seat.firing.clone(),
            control: None,
            control_setup: sockets.control().map(|socket| control::Setup { socket, token, version }),
            admin: None,
            admin_setup: admin_setup(&seat, build),
            is_second: seat.takes_over,
            aside,
            admin_url,
            control_url,
            sockets,
            logger,
        };
        if !host.is_second {
            host.triggers.begin(host.firing.clone());
            host.start_admin()
                .map_err(|error| StartError(format!("cannot start the admin thread: {error}")))?;
            host.start_control()
                .map_err(|error| StartError(format!("cannot start the control thread: {error}")))?;
        }
        Ok(host)
    }

    fn start_admin(&mut self) -> std::io::Result<()> {
        if let Some(setup) = self.admin_setup.take() {
            self.admin = Some(Admin::start(setup, self.registry.clone(), self.logger.clone())?);
        }
        Ok(())
    }

    fn start_control(&mut self) -> std::io::Result<()> {
        if let Some(setup) = self.control_setup.take() {
            self.control = Some(Control::start(setup, self.manager.clone(), self.logger.clone())?);
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
            let all = self.registry.all();
            let unsettled = all.iter().filter(|entry| !entry.is_paused()).map(|entry| entry.index);
            let mut left: HashSet<usize> = unsettled.collect();
            while !left.is_empty() {
                let now = begun.elapsed();
                if now >= LONGEST_WAIT || (now >= START_WAIT && serves()) {
                    break;
                }
                let wait = if now < START_WAIT { START_WAIT } else { LONGEST_WAIT } - now;
                let Ok(told) = tokio::time::timeout(wait, self.told.recv()).await else { continue };
                match told {
                    Some(Told::App(index)) if left.remove(&index) => {}
                    Some(other) => self.late.push_back(other),
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
        self.triggers.begin(self.firing.clone());
        for entry in self.registry.all() {
            if let Some(Err(_)) = entry.outcome.get() {
                self.sockets.close_one(&entry.socket());
            }
        }
        if let Err(error) = self.start_admin() {
            self.logger.host(Level::Error, format!("cannot start the admin thread: {error}"), []);
        }
        self.manager.open_later();
        if let Err(error) = self.start_control() {
            self.logger.host(Level::Error, format!("cannot start the control thread: {error}"), []);
        }
    }

    /// Waits for the next thing that happens after [`Host::started`]; for ever if nothing does.
    pub async fn next(&mut self) -> Happening {
        let told = match self.late.pop_front() {
            Some(told) => Some(told),
            None => self.told.recv().await,
        };
        match told {
            Some(Told::App(index)) => match self.registry.entry(index) {
                Some(entry) => Happening::App(self.state(&State::Entry(entry))),
                // It is gone by now.
                None => Box::pin(self.next()).await,
            },
            Some(Told::Spent(spent)) => Happening::Spent(spent),
            Some(Told::Drain) => Happening::Drain,
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
                        Some(Ok(_)) if entry.is_paused() => {
                            Err(format!("it is stopped; `nexus start {}` starts it", app.name()))
                        }
                        Some(Ok(_)) => Ok(entry.url()),
                        Some(Err(error)) => Err(error.clone()),
                        None => Err("it is still being loaded".into()),
                    },
                    hosts: app.manifest.http.hosts.iter().map(ToString::to_string).collect(),
                    paths: app.manifest.http.paths.iter().map(ToString::to_string).collect(),
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

    /// Where the API is served that manages apps.
    pub fn control_url(&self) -> Option<&str> {
        self.control_url.as_deref()
    }

    /// Whether apps may come by the API: there is something to do also if none is served now.
    pub fn takes_apps(&self) -> bool {
        self.manager.takes_apps()
    }

    /// Stops: accepts no more, lets what is in flight finish for up to `grace`. Gives how many workers had not
    /// finished by then; the process is to end anyway.
    pub async fn stop(self, grace: Duration) -> usize {
        let deadline = Instant::now() + grace;
        if let Some(admin) = &self.admin {
            admin.stopping();
        }
        self.triggers.end();
        self.manager.close();
        if !self.is_second {
            self.sockets.close();
            self.manager.close_sockets();
        }
        self.blanks.end();
        let workers = self.registry.stop(|entry| !entry.is_shared(), || worker::Control::Stop(None));
        let left = self.finish(FrontEnd::Stop, async { workers }, deadline).await;
        self.sockets.release();
        left
    }

    /// Stops like [`Host::stop`], while another process accepts from the same sockets: connections that are idle may
    /// send one more request for a while, and no new one is refused.
    pub async fn hand_over(mut self, grace: Duration) -> usize {
        let deadline = Instant::now() + grace;
        self.triggers.end();
        if let Some(admin) = &mut self.admin {
            admin.hand_over();
        }
        if let Some(control) = &mut self.control {
            control.hand_over();
        }
        drop(self.aside.take());
        let manager = self.manager.clone();
        // It waits for what is being deployed just now, for which nothing else is to wait for long.
        let handed_over = tokio::task::spawn_blocking(move || manager.hand_over());
        let _ = tokio::time::timeout(SOON.min(grace), handed_over).await;
        self.blanks.end();
        let workers = self.registry.hand_over(PATIENCE.min(grace));
        self.finish(FrontEnd::HandOver, workers, deadline).await
    }

    /// Has the shared ports' connections finish, as long as there are workers, and then those workers; waits for them and
    /// for the `others`, who end meanwhile. Gives how many had not finished in time.
    async fn finish(
        &self,
        how: FrontEnd,
        others: impl Future<Output = Vec<oneshot::Receiver<()>>>,
        deadline: Instant,
    ) -> usize {
        let control = || match how {
            FrontEnd::Stop => worker::Control::Stop(None),
            FrontEnd::HandOver => worker::Control::HandOver,
        };
        let fronts = async {
            let _ = tokio::time::timeout_at(deadline.into(), self.fronts.end(how)).await;
            self.registry.stop(|entry| entry.is_shared(), control)
        };
        let (others, sharing) = tokio::join!(others, fronts);
        // Those that have nothing to do end at once, however late they are told.
        let deadline = deadline.max(Instant::now() + AT_ONCE);
        let ending = async {
            let mut left = 0;
            for over in others.into_iter().chain(sharing) {
                if tokio::time::timeout_at(deadline.into(), over).await.is_err() {
                    left += 1;
                }
            }
            left
        };
        let ((), left) = tokio::join!(self.registry.close_inside(deadline), ending);
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
        self.triggers.end();
        // Whoever drops it without stopping it wants none of its workers any more.
        self.registry.stop(|_| true, || worker::Control::Stop(None));
        self.registry.inside.close();
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
