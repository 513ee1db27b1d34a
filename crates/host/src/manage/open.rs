//! Serving what was deployed before, when a host starts.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use nexus_core::AppName;
use nexus_guest::Level;

use super::{Manager, Places};
use crate::crew::Entry;
use crate::discover;
use crate::store::{Store, StoreError};
use crate::told::AppState;

/// How often a host that takes over looks whether the one before it has left the data folder.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How long it looks.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a host that starts waits for one that has been ended just now.
const START_PATIENCE: Duration = Duration::from_secs(5);

impl Manager {
    /// Opens the store and starts the apps in it: each one's entry, or why it cannot be served.
    ///
    /// # Errors
    /// When the data folder cannot be used.
    pub(crate) fn open(&self, patience: Duration) -> Result<Vec<Result<Arc<Entry>, AppState>>, String> {
        let Some(data) = &self.data else { return Ok(Vec::new()) };
        let begun = Instant::now();
        let store = loop {
            match Store::open(data) {
                Ok(store) => break store,
                // Another host has it so far.
                Err(StoreError::Folder(_)) if begun.elapsed() < patience.max(START_PATIENCE) => {
                    std::thread::sleep(LOOK_AGAIN);
                }
                Err(error) => return Err(format!("the data folder cannot be used: {error}")),
            }
        };
        *self.places() = Places::read(data);
        self.read_rules(data)?;
        let mut opened = Vec::new();
        for deployed in store.apps() {
            opened.push(match deployed {
                Ok(deployed) => {
                    let name = deployed.app();
                    self.open_app(&store, name).map_err(|why| {
                        self.failed().insert(name.clone(), why.clone());
                        AppState::refused(name.to_string(), data.clone(), None, why)
                    })
                }
                Err(error) => Err(AppState::refused("?".to_owned(), data.clone(), None, error.to_string())),
            });
        }
        *self.store.write().unwrap_or_else(PoisonError::into_inner) = Some(store);
        Ok(opened)
    }

    /// Like [`Manager::open`], once another host has left the store, without anybody waiting for it.
    pub(crate) fn open_later(self: &Arc<Self>) {
        if self.data.is_none() {
            return;
        }
        let (manager, pool) = (self.clone(), self.maker.pool.clone());
        let open = move || {
            let _within = pool.enter();
            let logger = &manager.maker.logger;
            match manager.open(PATIENCE) {
                Ok(opened) => {
                    for state in opened.into_iter().filter_map(Result::err) {
                        let why = state.serving.err().unwrap_or_default();
                        let app = [("app", state.name.into())];
                        logger.host(Level::Error, format!("not served: {}", why.trim_end()), app);
                    }
                }
                Err(error) => logger.host(Level::Error, format!("no deployed app is served: {error}"), []),
            }
        };
        if let Err(error) = std::thread::Builder::new().name("nexus-open".into()).spawn(open) {
            let message = format!("no deployed app is served: no thread is to be had: {error}");
            self.maker.logger.host(Level::Error, message, []);
        }
    }

    fn open_app(&self, store: &Store, name: &AppName) -> Result<Arc<Entry>, String> {
        if self.is_no_folder_app(name.as_str(), "served").is_err() {
            return Err(format!("the name `{name}` is taken by an app that is served from a folder"));
        }
        let (_, held) = store.get(name, None).map_err(|error| error.to_string())?;
        let (app, _) = discover::deployed(&held.folder(), name, &self.maker.config)
            .map_err(|problems| problems.to_string())?;
        let _placing = self.placing();
        let place = self.places().get(name);
        let entry = self.place(app, Some(Arc::new(held))).map_err(|error| error.text().to_owned())?;
        self.registry.add(entry.clone());
        let started = if place.is_stopped {
            // It counts as served so far: nobody is to wait for it.
            let _ = entry.outcome.set(Ok(Duration::ZERO));
            // Nobody waits for workers that it never had.
            self.set_aside(&entry).map(drop).map_err(|error| error.text().to_owned())
        } else {
            let started = self.registry.start_first(&entry);
            started.map_err(|error| format!("cannot start a worker's thread: {error}"))
        };
        let started = started.and_then(|()| match entry.is_shared() {
            true => self.route(&entry).map_err(|error| error.text().to_owned()),
            false => Ok(()),
        });
        if let Err(error) = started {
            self.withdraw(&entry);
            return Err(error);
        }
        self.remember(&entry);
        Ok(entry)
    }
}
