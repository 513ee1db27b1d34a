//! Deploying, rolling back and removing apps.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nexus_core::{App, AppName};
use nexus_guest::Level;
use tokio::sync::oneshot;

use super::{LAST_WORDS, ManageError, Manager};
use crate::crew::{Claim, Entry, Refused};
use crate::discover;
use crate::front::Fronts;
use crate::listen::Bound;
use crate::secrets::SecretStore;
use crate::store::{Received, StoreError, UploadLimits, Version};
use crate::worker::Files;

/// How often it is looked whether the workers of an app that was removed have ended.
const LOOK: Duration = Duration::from_millis(20);
/// How long the last lines of an app that was removed stay for those who follow its log.
const READ: Duration = Duration::from_secs(1);

/// A version that serves from now on.
#[derive(Debug)]
pub(crate) struct Deployment {
    pub(crate) version: Version,
    /// Whether it is what served before.
    pub(crate) is_unchanged: bool,
    /// What the app asks for and does not get, as its manifest has it.
    pub(crate) refused: Vec<String>,
}

/// A version that is being loaded, to take the place of the one that serves.
pub(crate) struct Replacing<'a> {
    entry: &'a Entry,
    /// Its hosts and paths, if they are others than those of the one before.
    claim: Option<Claim<'a>>,
    outcome: Option<oneshot::Receiver<Result<(), Refused>>>,
}

/// Waits for how it went with a version.
fn waited(outcome: oneshot::Receiver<Result<(), Refused>>) -> Result<(), ManageError> {
    match outcome.blocking_recv() {
        Ok(Ok(())) => Ok(()),
        Ok(Err(Refused::Because(why))) => Err(ManageError::Code(why)),
        Ok(Err(Refused::Superseded)) | Err(_) => Err(ManageError::Superseded),
    }
}

impl Manager {
    /// Receives what is to be served under this name.
    ///
    /// # Errors
    /// What is wrong with the upload, or why there cannot be any under this name.
    pub(crate) fn receive(&self, name: &AppName, upload: impl Read) -> Result<Received, ManageError> {
        self.is_no_folder_app(name.as_str(), "deployed over")?;
        Ok(self.to_receive()?.receive(upload, &UploadLimits::default())?)
    }

    /// Serves what was received for this name from now on, and keeps it.
    ///
    /// # Errors
    /// What is wrong with the app; what served before goes on then.
    pub(crate) fn deploy(&self, name: &AppName, received: Received) -> Result<Deployment, ManageError> {
        self.is_no_folder_app(name.as_str(), "deployed over")?;
        let received = Arc::new(received);
        let (_open, store) = self.opened()?;
        let turn = store.turn(name);
        self.is_open()?;
        let (app, refused) = self.checked(&received.folder(), name)?;
        if let Ok(deployed) = store.deployed(name)
            && deployed.current().digest == received.digest()
            && self.serves(name)
        {
            let version = deployed.current().clone();
            return Ok(Deployment { version, is_unchanged: true, refused });
        }
        let version = self.serve(app, received.clone(), || Ok(turn.keep(&received)?))?;
        self.deployed(name, &version);
        Ok(Deployment { version, is_unchanged: false, refused })
    }

    /// Serves an earlier version again: the one of this number, or the one before.
    ///
    /// # Errors
    /// When there is no such app or version, or it cannot be served any more; what served before goes on then.
    pub(crate) fn roll_back(&self, name: &AppName, to: Option<u64>) -> Result<Deployment, ManageError> {
        self.is_no_folder_app(name.as_str(), "rolled back")?;
        self.is_open()?;
        let (_open, store) = self.opened()?;
        let turn = store.turn(name);
        self.is_open()?;
        let deployed = store.deployed(name)?;
        let number = match to.or_else(|| deployed.before().map(|version| version.number)) {
            Some(number) => number,
            // It says why there is none.
            None => {
                return Err(turn
                    .roll_back(None)
                    .err()
                    .map_or_else(|| super::missing(name.as_str()), Into::into));
            }
        };
        let (version, held) = store.get(name, Some(number))?;
        let (app, refused) = self.checked(&held.folder(), name)?;
        if number == deployed.current().number && self.serves(name) {
            return Ok(Deployment { version, is_unchanged: true, refused });
        }
        let version = self.serve(app, Arc::new(held), || Ok(turn.roll_back(Some(number))?))?;
        self.deployed(name, &version);
        Ok(Deployment { version, is_unchanged: false, refused })
    }

    /// Removes an app with all its versions. What it has in flight finishes.
    ///
    /// # Errors
    /// When there is no such app, or its record cannot be removed.
    pub(crate) fn remove(&self, name: &AppName) -> Result<(), ManageError> {
        self.is_no_folder_app(name.as_str(), "removed")?;
        self.is_open()?;
        let (_open, store) = self.opened()?;
        let turn = store.turn(name);
        if let Err(StoreError::Missing(_)) = store.deployed(name) {
            return Err(super::missing(name.as_str()));
        }
        // Whoever deploys it anew meanwhile waits for the turn.
        self.failed().remove(name);
        if let Some(entry) = self.entry(name.as_str()) {
            self.tell(&entry, Level::Info, "the app was removed".into());
            self.withdraw(&entry);
        }
        if let Err(error) = self.places().remove(name) {
            let message = format!("that the app is gone cannot be written: {error}");
            self.maker.logger.host(Level::Warn, message, [("app", name.as_str().into())]);
        }
        turn.remove().map_err(|error| {
            ManageError::Host(format!("the app `{name}` is not served any more, but is kept: {error}"))
        })?;
        // In this order: what still runs of it writes nothing any more.
        self.forget_grants(name);
        if let Some(control) = self.maker.capabilities.control() {
            control.release(name);
        }
        let secrets = SecretStore::new(&self.maker.config.storage_folder());
        secrets.release(name).map_err(|error| {
            ManageError::Host(format!(
                "the app `{name}` is removed, but its secrets are still there: {error}"
            ))
        })
    }

    fn deployed(&self, name: &AppName, version: &Version) {
        self.failed().remove(name);
        let fields = [("app", name.as_str().into()), ("version", version.number.into())];
        self.maker.logger.host(Level::Info, format!("version {} serves", version.number), fields);
    }

    fn serves(&self, name: &AppName) -> bool {
        let outcome = |entry: Arc<Entry>| matches!(entry.outcome.get(), Some(Ok(_)));
        self.entry(name.as_str()).is_some_and(outcome)
    }

    fn checked(&self, folder: &Path, name: &AppName) -> Result<(App, Vec<String>), ManageError> {
        let (app, mut refused) = discover::deployed(folder, name, &self.maker.config)
            .map_err(|problems| ManageError::Wrong(problems.to_string()))?;
        refused.extend(self.maker.grants.missing(&self.maker.policy(), &app.manifest));
        Ok((app, refused))
    }

    /// Serves a version, and then records it.
    fn serve(
        &self,
        app: App,
        files: Files,
        record: impl FnOnce() -> Result<Version, ManageError>,
    ) -> Result<Version, ManageError> {
        let name = app.name().clone();
        let before = self.entry(name.as_str());
        if before.as_ref().is_some_and(|entry| entry.is_paused()) {
            let text =
                format!("the app `{name}` is stopped; start it first (`nexus start {name}`), or remove it");
            return Err(ManageError::Conflict(text));
        }
        match before {
            Some(entry) if entry.may_serve() => self.replace(&entry, app, files, record),
            failed => {
                let is_known = failed.is_some();
                if let Some(entry) = failed {
                    self.withdraw(&entry);
                }
                let added = self.add(app, Some(files), |_| record());
                if let Err(error) = &added
                    && is_known
                {
                    // What was deployed before is kept all the same, and cannot be served either.
                    self.failed().insert(name, error.text().to_owned());
                }
                added
            }
        }
    }

    /// Serves an app that was not served before.
    pub(super) fn add<T>(
        &self,
        app: App,
        files: Option<Files>,
        record: impl FnOnce(&Arc<Entry>) -> Result<T, ManageError>,
    ) -> Result<T, ManageError> {
        let placing = self.placing();
        let entry = self.place(app, files)?;
        // Others must find what it claims, while it is loaded: that may take long, and nobody waits for it.
        entry.set_routed(false);
        self.registry.add(entry.clone());
        drop(placing);
        let settled = entry.when_settled();
        let loaded = match self.registry.start_first(&entry) {
            Err(error) => Err(ManageError::Host(format!("cannot start a worker's thread: {error}"))),
            Ok(()) => {
                let _ = settled.blocking_recv();
                match entry.outcome.get() {
                    Some(Ok(_)) => Ok(()),
                    Some(Err(why)) => Err(ManageError::Code(why.clone())),
                    None => Err(ManageError::Unavailable("the host stops".into())),
                }
            }
        };
        entry.set_routed(true);
        let routed = loaded.and_then(|()| match entry.is_shared() {
            true => self.route(&entry),
            false => Ok(()),
        });
        match routed.and_then(|()| record(&entry)) {
            Ok(recorded) => {
                self.remember(&entry);
                Ok(recorded)
            }
            Err(error) => {
                self.withdraw(&entry);
                Err(error)
            }
        }
    }

    /// Has a version take the place of the one that serves, and then records it.
    fn replace(
        &self,
        entry: &Entry,
        app: App,
        files: Files,
        record: impl FnOnce() -> Result<Version, ManageError>,
    ) -> Result<Version, ManageError> {
        let before = entry.start();
        let was = &before.app.manifest.http;
        let mut replacing = self.begin_to_replace(entry, app, Some(files))?;
        let moves = self.replaced(&mut replacing)?;
        // It may have to go back.
        let claim = moves.then(|| entry.claim(was));
        let recorded = record();
        if recorded.is_err() {
            // What serves is to be what a host that starts again finds.
            let back = self.change(entry, before.app.clone(), before.files.clone());
            if let Err(error) = back.and_then(waited) {
                let message = format!("a version serves that is not kept: {}", error.text());
                self.tell(entry, Level::Error, message);
            }
            if moves {
                let _ = self.route(entry);
            }
        }
        drop(claim);
        recorded
    }

    /// Has a version take the place of the one that serves, as soon as it is loaded. Of several the one counts that was
    /// begun last.
    pub(crate) fn begin_to_replace<'a>(
        &self,
        entry: &'a Entry,
        app: App,
        files: Option<Files>,
    ) -> Result<Replacing<'a>, ManageError> {
        let before = entry.app();
        let (is, was) = (&app.manifest.http, &before.manifest.http);
        if is.port != was.port || is.is_shared() != was.is_shared() {
            return Err(self.other_port(entry));
        }
        let mut claim = None;
        if is != was {
            let _placing = self.placing();
            Fronts::fits(&self.registry, &entry.socket(), &app, Some(entry.index))
                .map_err(ManageError::Conflict)?;
            claim = Some(entry.claim(is));
        }
        let outcome = self.change(entry, Arc::new(app), files)?;
        Ok(Replacing { entry, claim, outcome: Some(outcome) })
    }

    /// Waits until the version serves, and has requests routed to it. Says whether they are others than before.
    pub(crate) fn replaced(&self, replacing: &mut Replacing<'_>) -> Result<bool, ManageError> {
        if let Some(outcome) = replacing.outcome.take() {
            waited(outcome)?;
        }
        let moves = replacing.claim.is_some();
        if moves {
            self.route(replacing.entry)?;
        }
        Ok(moves)
    }

    /// Serves an app of a folder that was given as a path and could not be served so far.
    ///
    /// # Errors
    /// Why it cannot be served now.
    pub(crate) fn adopt(&self, path: &Path, app: App) -> Result<Arc<Entry>, ManageError> {
        self.is_open()?;
        let name = app.name();
        if self.entry(name.as_str()).is_some() || self.failed().contains_key(name) {
            return Err(ManageError::Conflict(format!(
                "there is another app `{name}`; rename one of the two"
            )));
        }
        let entry = self.add(app, None, |entry| Ok(entry.clone()))?;
        self.no_longer_refused(path);
        Ok(entry)
    }

    /// That a version cannot be served where the one before is.
    fn other_port(&self, entry: &Entry) -> ManageError {
        let app = entry.app();
        let name = app.name();
        let what =
            format!("the app `{name}` would be served at another port, or begin or cease to share one");
        ManageError::Conflict(if self.is_deployed(entry) {
            format!(
                "{what}: remove it first (`nexus rm {name}`), or keep its `port` and have `hosts` or `paths` as before"
            )
        } else {
            format!("{what}: that takes a start of nexus")
        })
    }

    /// Has the app's shared port lead to its apps as they are now.
    pub(super) fn route(&self, entry: &Entry) -> Result<(), ManageError> {
        let routed = self.fronts.route(&self.registry, &entry.socket());
        routed.map_err(|error| ManageError::Host(format!("cannot start a shared port's threads: {error}")))
    }

    fn change(
        &self,
        entry: &Entry,
        app: Arc<App>,
        files: Option<Files>,
    ) -> Result<oneshot::Receiver<Result<(), Refused>>, ManageError> {
        let change = self.maker.change(app, files).map_err(ManageError::Wrong)?;
        Ok(self.registry.change(entry, change))
    }

    /// Gives a new app its socket; it has no worker yet. Whoever calls it is placing.
    pub(super) fn place(&self, app: App, files: Option<Files>) -> Result<Arc<Entry>, ManageError> {
        let socket = self.socket(&app)?;
        if app.manifest.http.is_shared() {
            Fronts::fits(&self.registry, &socket, &app, None).map_err(ManageError::Conflict)?;
        }
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        self.maker.entry(Arc::new(app), index, socket, files).map_err(ManageError::Wrong)
    }

    fn socket(&self, app: &App) -> Result<Arc<Bound>, ManageError> {
        let http = &app.manifest.http;
        let all = self.registry.all();
        let has_port = |entry: &&Arc<Entry>| entry.app().manifest.http.port == http.port;
        let sharing = |entry: &&Arc<Entry>| entry.is_shared();
        if http.is_shared()
            && let Some(entry) = all.iter().filter(sharing).find(has_port)
        {
            return Ok(entry.socket());
        }
        let taken = |port: u16| all.iter().find(|entry| entry.socket().port() == Some(port));
        if let Some(port) = http.port
            && let Some(other) = taken(port)
        {
            let message = format!("the port {port} is taken by the app `{}`", other.app().name());
            let help = "set another `port` under [http], or leave it out for the next free one";
            let diagnostic = app.manifest.written.diagnostic("http.port", message).with_help(help);
            return Err(ManageError::Conflict(diagnostic.to_string()));
        }
        let name = match http.is_shared() {
            true => http.port.map_or_else(|| "shared".to_owned(), |port| format!("shared-{port}")),
            false => app.name().to_string(),
        };
        let before = self.places().get(app.name()).port;
        let bound = self.late.bind(&name, http.port, before, &self.claimed());
        let bound = bound.map_err(|error| ManageError::Conflict(error.to_string()))?;
        if before.is_some_and(|before| bound.port() != Some(before)) && http.port.is_none() {
            let fields = [("app", app.name().as_str().into()), ("url", bound.url().into())];
            self.maker.logger.host(
                Level::Warn,
                "the app's port is another one: the one it had is taken",
                fields,
            );
        }
        Ok(Arc::new(bound))
    }

    /// Serves an app no more; what it has in flight finishes.
    pub(super) fn withdraw(&self, entry: &Arc<Entry>) {
        let switching = self.switching();
        let commanded = self.registry.end(entry);
        self.registry.remove(entry);
        drop(self.aside().remove(&entry.index));
        drop(switching);
        let socket = entry.socket();
        let is_shared = self.registry.all().iter().any(|other| Arc::ptr_eq(&other.socket(), &socket));
        if entry.is_shared() {
            // It only closes a port, or makes a router smaller.
            let _ = self.fronts.route(&self.registry, &socket);
        }
        if !is_shared {
            socket.close();
            socket.release();
        }
        commanded.wait();
        let (registry, gone, logger) = (self.registry.clone(), entry.clone(), self.maker.logger.clone());
        let listen = move || {
            let begun = Instant::now();
            while gone.has_workers() && begun.elapsed() < LAST_WORDS {
                std::thread::sleep(LOOK);
            }
            registry.has_left(&gone);
            // Who follows the log is to read its last lines.
            std::thread::sleep(READ);
            let app = gone.app();
            if !registry.all().iter().any(|other| other.app().name() == app.name()) {
                logger.forget(app.name().as_str());
            }
        };
        // Without a thread it is listened to as long as the host lives.
        let _ = std::thread::Builder::new().name("nexus-leave".into()).spawn(listen);
    }
}
