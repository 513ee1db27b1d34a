//! Managing apps while they are served: deploying, rolling back, stopping, removing them.
//!
//! ```text
//! an upload ─► Store::receive ─► the app's turn ─► is it right? ─► new: a socket, an entry, its first worker
//!                                                                  else: Registry::change
//!                                  serves ─► Turn::keep: it is the current version ◄── it fails: nothing has changed
//! ```
//!
//! Apps that were given as paths can be stopped and started; what they are is their folder's business. All calls here
//! wait, for the disk or for an app that is being loaded: none belongs on an event loop.

mod cron;
mod deploy;
mod error;
mod grants;
mod open;
mod places;
mod providers;
mod status;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use nexus_core::AppName;
use nexus_guest::Level;
use tokio::sync::mpsc;

pub(crate) use self::deploy::Deployment;
pub(crate) use self::error::ManageError;
pub(crate) use self::grants::Named;
use self::places::{Place, Places};
pub(crate) use self::providers::ProviderAct;
use crate::aside::{self, Aside};
use crate::crew::{Commanded, Entry, Registry};
use crate::front::Fronts;
use crate::listen::Late;
use crate::make::Maker;
use crate::store::{Deployed, Store};
use crate::told::{AppState, Told};
use crate::triggers::Triggers;

/// How long workers of an app that was removed are listened to. They end sooner: requests have their limits.
const LAST_WORDS: Duration = Duration::from_secs(3600);

/// What manages the apps of a host.
pub(crate) struct Manager {
    pub(crate) registry: Arc<Registry>,
    maker: Arc<Maker>,
    fronts: Arc<Fronts>,
    late: Late,
    /// The data folder, if apps can be deployed.
    data: Option<PathBuf>,
    /// The store in it, while this host has it. Whoever changes what an app serves keeps the lock for reading.
    store: RwLock<Option<Store>>,
    places: Mutex<Places>,
    /// Deployed apps that cannot be served, and why.
    failed: Mutex<BTreeMap<AppName, String>>,
    /// Apps that were given as paths and cannot be served.
    refused: Mutex<Vec<AppState>>,
    /// Apps from this index on came later: their sockets are this host's own.
    first: usize,
    /// The index of the next app that comes.
    next: AtomicUsize,
    /// Who answers for apps that are stopped and have a port of their own, by their index.
    aside: Mutex<HashMap<usize, Aside>>,
    /// Whoever gives an app its place, on a socket and beside others, holds this.
    placing: Mutex<()>,
    /// Whoever stops, starts or removes an app holds this.
    switching: Mutex<()>,
    /// Whether the host is about to end.
    is_closing: AtomicBool,
    triggers: Arc<Triggers>,
    told: mpsc::UnboundedSender<Told>,
}

/// What a manager is made of.
pub(crate) struct Setup {
    pub(crate) registry: Arc<Registry>,
    pub(crate) maker: Arc<Maker>,
    pub(crate) fronts: Arc<Fronts>,
    /// Apps that were given as paths and cannot be served.
    pub(crate) refused: Vec<AppState>,
    /// How many apps were given as paths.
    pub(crate) first: usize,
    pub(crate) triggers: Arc<Triggers>,
    pub(crate) told: mpsc::UnboundedSender<Told>,
}

/// There is no app of this name.
pub(crate) fn missing(name: &str) -> ManageError {
    ManageError::Missing(format!("there is no app `{name}`; `nexus ps` lists those that there are"))
}

impl Manager {
    pub(crate) fn new(setup: Setup) -> Self {
        let Setup { registry, maker, fronts, refused, first, triggers, told } = setup;
        Self {
            late: Late::new(&maker.config),
            data: maker.config.deploy.folder.clone(),
            store: RwLock::default(),
            places: Mutex::default(),
            failed: Mutex::default(),
            aside: Mutex::default(),
            placing: Mutex::default(),
            switching: Mutex::default(),
            is_closing: AtomicBool::new(false),
            next: AtomicUsize::new(first),
            registry,
            maker,
            fronts,
            refused: Mutex::new(refused),
            first,
            triggers,
            told,
        }
    }

    /// Whether apps can be deployed.
    pub(crate) fn takes_apps(&self) -> bool {
        self.data.is_some()
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self) -> MutexGuard<'_, BTreeMap<AppName, String>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn switching(&self) -> MutexGuard<'_, ()> {
        self.switching.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn placing(&self) -> MutexGuard<'_, ()> {
        self.placing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The app of this name that was given as a path and cannot be served.
    fn refused(&self, name: &str) -> Option<AppState> {
        self.all_refused().into_iter().find(|state| state.name == name)
    }

    fn all_refused(&self) -> Vec<AppState> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn no_longer_refused(&self, path: &Path) {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).retain(|state| state.folder != path);
    }

    fn entry(&self, name: &str) -> Option<Arc<Entry>> {
        self.registry.all().into_iter().find(|entry| entry.app().name().as_str() == name)
    }

    /// Whether there is an app of this name, be it served or not.
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.entry(name).is_some()
            || self.refused(name).is_some()
            || self.failed().keys().any(|app| app.as_str() == name)
    }

    fn is_deployed(&self, entry: &Entry) -> bool {
        entry.start().files.is_some()
    }

    /// What the store knows of an app.
    fn record(&self, name: &str) -> Option<Deployed> {
        let store = self.store.read().unwrap_or_else(PoisonError::into_inner).clone()?;
        store.deployed(&AppName::parse(name)?).ok()
    }

    /// The store, to receive something.
    fn to_receive(&self) -> Result<Store, ManageError> {
        self.is_open()?;
        Ok(self.opened()?.1)
    }

    /// The store, to change what an app serves. Until the guard is dropped the host does not let go of the store.
    fn opened(&self) -> Result<(RwLockReadGuard<'_, Option<Store>>, Store), ManageError> {
        if self.data.is_none() {
            let text = "this host takes no apps: start it with `--data FOLDER`, where it is to keep them";
            return Err(ManageError::Conflict(text.to_owned()));
        }
        let guard = self.store.read().unwrap_or_else(PoisonError::into_inner);
        match guard.clone() {
            Some(store) => Ok((guard, store)),
            None => Err(ManageError::Unavailable(
                "another host has the data folder so far, or again; try again in a moment".into(),
            )),
        }
    }

    fn is_open(&self) -> Result<(), ManageError> {
        match self.is_closing.load(Ordering::Relaxed) {
            true => Err(ManageError::Unavailable("the host stops".into())),
            false => Ok(()),
        }
    }

    /// Refuses what is for deployed apps only.
    fn is_no_folder_app(&self, name: &str, what: &str) -> Result<(), ManageError> {
        let folder =
            self.entry(name).filter(|entry| !self.is_deployed(entry)).map(|entry| entry.app().folder.clone());
        match folder.or_else(|| Some(self.refused(name)?.folder)) {
            Some(folder) => Err(ManageError::Conflict(format!(
                "the app `{name}` is served from the folder {}, not deployed: it cannot be {what}; change it there, or \
                 deploy under another name",
                folder.display()
            ))),
            None => Ok(()),
        }
    }

    /// Has an app finish what it has in flight and answer 503 until it is started.
    ///
    /// # Errors
    /// When there is no such app, or it has never been served.
    pub(crate) fn stop(&self, name: &str) -> Result<(), ManageError> {
        self.is_open()?;
        let _switching = self.switching();
        let entry = self.known(name)?;
        if entry.is_paused() {
            return Ok(());
        }
        match entry.outcome.get() {
            None => {
                let text = format!("the app `{name}` is being loaded; try again when it is");
                return Err(ManageError::Conflict(text));
            }
            Some(Err(why)) if !entry.may_serve() => {
                let text = format!("the app `{name}` is not served: {}", why.trim_end());
                return Err(ManageError::Conflict(text));
            }
            Some(_) => {}
        }
        self.set_aside(&entry)?.wait();
        self.remember(&entry);
        self.tell(&entry, Level::Info, "the app was stopped".into());
        Ok(())
    }

    /// Answers 503 for an app instead of its workers. Those on shared ports are answered for there.
    fn set_aside(&self, entry: &Entry) -> Result<Commanded, ManageError> {
        if entry.is_shared() {
            return Ok(self.registry.pause(entry, None));
        }
        let aside = Aside::start(vec![entry.socket()], aside::STOPPED, self.maker.logger.clone());
        let aside = aside.map_err(|error| ManageError::Host(format!("cannot start a thread: {error}")))?;
        let commanded = self.registry.pause(entry, Some(aside.inbox()));
        self.aside().insert(entry.index, aside);
        Ok(commanded)
    }

    fn aside(&self) -> MutexGuard<'_, HashMap<usize, Aside>> {
        self.aside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts an app that was stopped.
    ///
    /// # Errors
    /// When there is no such app, or no thread for it.
    pub(crate) fn start(&self, name: &str) -> Result<(), ManageError> {
        self.is_open()?;
        let _switching = self.switching();
        let entry = self.known(name)?;
        if !entry.is_paused() {
            return match entry.outcome.get() {
                Some(Err(why)) if !entry.may_serve() => {
                    let text = format!("the app `{name}` cannot be served: {}", why.trim_end());
                    Err(ManageError::Conflict(text))
                }
                _ => Ok(()),
            };
        }
        self.registry
            .resume(&entry)
            .map_err(|error| ManageError::Host(format!("cannot start a worker's thread: {error}")))?;
        let aside = self.aside().remove(&entry.index);
        if let Some(aside) = aside {
            aside.hand_to(entry.lot_inbox());
        }
        self.remember(&entry);
        self.tell(&entry, Level::Info, "the app was started".into());
        Ok(())
    }

    fn known(&self, name: &str) -> Result<Arc<Entry>, ManageError> {
        self.entry(name).ok_or_else(|| match self.status(name) {
            Ok(status) => {
                let why = status["error"].as_str().unwrap_or_default().to_owned();
                ManageError::Conflict(format!("the app `{name}` is not served: {why}"))
            }
            Err(error) => error,
        })
    }

    /// Has the host stop, as SIGTERM does.
    pub(crate) fn drain(&self) {
        // A host that is gone need not know.
        let _ = self.told.send(Told::Drain);
    }

    /// From now on nothing is changed any more.
    pub(crate) fn close(&self) {
        self.is_closing.store(true, Ordering::Relaxed);
    }

    /// Refuses new connections to all apps that came later.
    pub(crate) fn close_sockets(&self) {
        for entry in self.registry.all().iter().filter(|entry| self.came_later(entry)) {
            if !self.is_another_ones(entry) {
                let socket = entry.socket();
                socket.close();
                // The next host has another socket at its path.
                socket.release();
            }
        }
        self.aside().clear();
    }

    /// Whether the app has a socket of this host's own, or one that another such app came with.
    fn came_later(&self, entry: &Entry) -> bool {
        entry.index >= self.first
    }

    /// Whether an app that was there at the start has the same socket.
    fn is_another_ones(&self, entry: &Entry) -> bool {
        let socket = entry.socket();
        let is_it = |other: &Arc<Entry>| !self.came_later(other) && Arc::ptr_eq(&other.socket(), &socket);
        entry.is_shared() && self.registry.all().iter().any(is_it)
    }

    /// Another host takes the deployed apps over: it may open the data folder and bind their ports from now on.
    pub(crate) fn hand_over(&self) {
        self.close();
        // Waits for whoever changes something just now.
        let store = self.store.write().unwrap_or_else(PoisonError::into_inner).take();
        // They are the next host's to write.
        *self.places() = Places::default();
        self.close_sockets();
        if let Some(store) = store {
            store.hand_over();
        }
    }

    /// Keeps where an app is served, and whether it is stopped, for the next host.
    fn remember(&self, entry: &Entry) {
        if !self.is_deployed(entry) {
            return;
        }
        let place = Place { port: entry.socket().port(), is_stopped: entry.is_paused() };
        if let Err(error) = self.places().set(entry.app().name(), place) {
            let message = format!("a host that starts again will not know the app's port: {error}");
            self.tell(entry, Level::Warn, message);
        }
    }

    /// The ports of the apps that there are, or that they name.
    fn claimed(&self) -> HashSet<u16> {
        let ports = |entry: &Arc<Entry>| [entry.socket().port(), entry.app().manifest.http.port];
        self.registry.all().iter().flat_map(ports).flatten().collect()
    }

    fn tell(&self, entry: &Entry, level: Level, message: String) {
        self.maker.logger.host(level, message, [("app", entry.app().name().as_str().into())]);
    }
}
