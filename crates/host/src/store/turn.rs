//! Changing what an app serves.

use std::fs;
use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use nexus_core::AppName;

use super::line::Place;
use super::{Deployed, Received, Store, StoreError, Version, disk, missing, no_version};

/// The right to change what an app serves, which one at a time has. It is held from before a version is tried
/// until the new version serves, so that what serves in the end is what the record says. Who waits for it
/// gets it in the order of asking; other apps' turns are not waited for.
#[derive(Debug)]
pub struct Turn {
    store: Store,
    place: Place,
}

impl Turn {
    pub(super) fn new(store: Store, place: Place) -> Self {
        Self { store, place }
    }

    /// The app.
    pub fn app(&self) -> &AppName {
        self.place.app()
    }

    /// Makes what was received the app's current version. If it is that already, nothing changes. The oldest
    /// version goes when there are more than [`KEPT`](super::KEPT).
    ///
    /// # Errors
    /// When the app's record cannot be used or written; nothing has changed then.
    pub fn keep(&self, received: &Received) -> Result<Version, StoreError> {
        if !received.held.is_on(&self.store.0.shelf) {
            return Err(StoreError::Missing("the upload was received by another store".into()));
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let changed = match self.deployed() {
            Ok(deployed) => deployed.with(received.content, now),
            Err(StoreError::Missing(_)) => Deployed::first(self.app().clone(), received.content, now),
            Err(error) => return Err(error),
        };
        self.change_to(changed)
    }

    /// Makes a version current that is kept: the one of this number, or [`Deployed::before`]. No version
    /// goes. Its files are not looked at: [`Store::get`] does that.
    ///
    /// # Errors
    /// When there is no such version, or the app's record cannot be used or written; nothing has changed
    /// then.
    pub fn roll_back(&self, number: Option<u64>) -> Result<Version, StoreError> {
        let deployed = self.deployed()?;
        let number = match number.or_else(|| deployed.before().map(|version| version.number)) {
            Some(number) => number,
            None => {
                return Err(StoreError::Missing(format!(
                    "the app `{}` has no version before {}; deploy another one",
                    self.app(),
                    deployed.current().number
                )));
            }
        };
        self.change_to(deployed.back_to(number).ok_or_else(|| no_version(&deployed, number))?)
    }

    /// Removes the app with all its versions, also if its record cannot be used. Files that somebody holds
    /// stay until they are let go.
    ///
    /// # Errors
    /// When there is no such app, or its record cannot be removed.
    pub fn remove(self) -> Result<(), StoreError> {
        let deployed = match self.deployed() {
            Err(StoreError::Missing(_)) => return Err(missing(self.app())),
            deployed => deployed.ok(),
        };
        let (inner, app) = (&self.store.0, self.app());
        inner.shelf.is_own()?;
        let path = inner.record(app);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::of(&path)(error));
            }
            _ => {}
        }
        disk::sync_names(&inner.records);
        inner.apps().remove(app);
        for digest in deployed.iter().flat_map(Deployed::digests) {
            inner.shelf.let_go(&digest);
        }
        Ok(())
    }

    fn deployed(&self) -> Result<Deployed, StoreError> {
        self.store.deployed(self.app())
    }

    /// Records this and lets go of what it does not name any more.
    fn change_to(&self, changed: Deployed) -> Result<Version, StoreError> {
        let (inner, before) = (&self.store.0, self.deployed().ok());
        inner.shelf.is_own()?;
        let current = changed.current().clone();
        if before.as_ref() == Some(&changed) {
            return Ok(current);
        }
        let is_in =
            |app: Option<&Deployed>, digest| app.is_some_and(|app| app.digests().any(|it| it == digest));
        let (mut new, mut gone) = (changed.digests().collect::<Vec<_>>(), Vec::new());
        new.retain(|digest| !is_in(before.as_ref(), *digest));
        if let Some(before) = &before {
            gone.extend(before.digests().filter(|digest| !is_in(Some(&changed), *digest)));
        }
        // They are held: by whoever has received them, which is asked for above.
        new.iter().for_each(|digest| inner.shelf.need(*digest));
        let path = inner.record(self.app());
        if let Err(error) = inner.shelf.write(&path, &changed.to_text()) {
            new.iter().for_each(|digest| inner.shelf.let_go(digest));
            return Err(StoreError::of(&path)(error));
        }
        inner.apps().insert(self.app().clone(), Ok(changed));
        gone.iter().for_each(|digest| inner.shelf.let_go(digest));
        Ok(current)
    }
}
