//! Where the versions' files are, and who needs them.
//!
//! A version is a folder named by its digest, in which nothing changes any more. It is there as long as an
//! app's record names it or somebody in this process holds it, an upload that has just come or a worker that
//! serves it, and goes with the last of them. It comes to its place and leaves it by a rename, so that there
//! is all of it or nothing.

use std::collections::{HashMap, HashSet};
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::disk::{Scratch, own_folder, remove, replace, set_mode, sync_names};
use super::listing::Listing;
use super::{Digest, INCOMING, StoreError};

/// The folders of versions.
#[derive(Debug)]
pub(super) struct Shelf {
    versions: PathBuf,
    /// What is on its way, in or out.
    incoming: PathBuf,
    /// Who moves a version to its place or away holds this.
    state: Mutex<State>,
    /// As long as it is open and locked no other process uses these folders.
    lock: File,
}

#[derive(Debug, Default)]
struct State {
    /// How many records and holders need a version.
    needed: HashMap<Digest, usize>,
    /// Versions that stay though nobody seems to need them, because not all records could be read.
    kept: HashSet<Digest>,
    /// Whether the folders are another process's.
    is_handed_over: bool,
}

impl State {
    fn is_own(&self) -> Result<(), StoreError> {
        match self.is_handed_over {
            false => Ok(()),
            true => Err(StoreError::HandedOver(
                "another host has taken the data folder over meanwhile; try again".into(),
            )),
        }
    }
}

impl Shelf {
    /// The folders `versions` and `incoming` of a data folder that is locked by this file. What was on its
    /// way when an earlier process ended is removed.
    pub(super) fn open(data: &Path, lock: File) -> Result<Self, StoreError> {
        let [versions, incoming] = ["versions", INCOMING].map(|name| data.join(name));
        own_folder(&versions)?;
        own_folder(&incoming)?;
        for entry in fs::read_dir(&incoming).map_err(StoreError::of(&incoming))? {
            let path = entry.map_err(StoreError::of(&incoming))?.path();
            // Who had the folder before may be about to notice, and to remove it, too. What stays is in nobody's way.
            let _ = remove(&path);
        }
        Ok(Self { versions, incoming, state: Mutex::default(), lock })
    }

    /// Where this version's files are.
    pub(super) fn folder(&self, digest: &Digest) -> PathBuf {
        self.versions.join(digest.to_string())
    }

    /// Writes a file of the data folder anew, whole or not at all.
    pub(super) fn write(&self, place: &Path, text: &str) -> io::Result<()> {
        replace(place, &self.incoming, text)
    }

    /// An empty folder of its own for what is on its way.
    pub(super) fn scratch_folder(&self) -> Result<Scratch, StoreError> {
        self.is_own()?;
        let scratch = Scratch::within(&self.incoming).map_err(StoreError::of(&self.incoming))?;
        DirBuilder::new().mode(0o700).create(scratch.path()).map_err(StoreError::of(scratch.path()))?;
        Ok(scratch)
    }

    /// Gives what was unpacked its place, unless the same is there already: it is held in any case.
    pub(super) fn place(self: &Arc<Self>, mut from: Scratch, digest: Digest) -> Result<Held, StoreError> {
        let folder = self.folder(&digest);
        let mut state = self.state();
        state.is_own()?;
        let is_needed = state.needed.contains_key(&digest);
        // What is there and nobody needs is not asked what it is.
        let replaced =
            if is_needed { None } else { self.swap(&mut from, &folder).map_err(StoreError::of(&folder))? };
        *state.needed.entry(digest).or_default() += 1;
        drop(state);
        drop(replaced);
        let held = Held { shelf: self.clone(), digest };
        if is_needed && !held.is_whole()? {
            // Deploying again mends what was damaged.
            let state = self.state();
            state.is_own()?;
            let replaced = self.swap(&mut from, &folder).map_err(StoreError::of(&folder))?;
            drop(state);
            drop(replaced);
        }
        sync_names(&self.versions);
        Ok(held)
    }

    /// Moves a folder to a version's place; what was there is to be removed.
    fn swap(&self, from: &mut Scratch, folder: &Path) -> io::Result<Option<Scratch>> {
        let replaced = self.move_away(folder)?;
        from.move_to(folder)?;
        set_mode(folder, 0o555)?;
        Ok(replaced)
    }

    fn move_away(&self, folder: &Path) -> io::Result<Option<Scratch>> {
        match fs::symlink_metadata(folder) {
            // To be moved to another folder, a folder must be open for writing itself.
            Ok(metadata) if metadata.is_dir() => set_mode(folder, 0o700)?,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        }
        let away = Scratch::within(&self.incoming)?;
        fs::rename(folder, away.path())?;
        Ok(Some(away))
    }

    /// Says that one more record names this version.
    pub(super) fn need(&self, digest: Digest) {
        *self.state().needed.entry(digest).or_default() += 1;
    }

    /// Says that one record or holder less needs this version, whose files go if it was the last.
    pub(super) fn let_go(&self, digest: &Digest) {
        let mut state = self.state();
        match state.needed.get_mut(digest) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) => {
                state.needed.remove(digest);
                // If it cannot be moved now, it goes when the store is opened the next time. It is removed
                // without the lock, for that may take long.
                let stays = state.is_handed_over || state.kept.contains(digest);
                let away = if stays { None } else { self.move_away(&self.folder(digest)).ok().flatten() };
                drop(state);
                drop(away);
            }
            None => {}
        }
    }

    /// Holds a version that somebody needs.
    pub(super) fn hold(self: &Arc<Self>, digest: &Digest) -> Option<Held> {
        *self.state().needed.get_mut(digest)? += 1;
        Some(Held { shelf: self.clone(), digest: *digest })
    }

    /// Another process may use the folders from now on; this one changes nothing there any more.
    pub(super) fn hand_over(&self) {
        // Whoever moves a version just now has done so before the lock goes.
        let mut state = self.state();
        state.is_handed_over = true;
        // The process's end gives the lock back in any case.
        let _ = rustix::fs::flock(&self.lock, rustix::fs::FlockOperation::Unlock);
    }

    /// Whether the folders are this process's.
    ///
    /// # Errors
    /// When they were handed over.
    pub(super) fn is_own(&self) -> Result<(), StoreError> {
        self.state().is_own()
    }

    /// Lets nothing go that is there now.
    pub(super) fn keep_all(&self) -> Result<(), StoreError> {
        let there = self.there()?;
        self.state().kept.extend(there);
        Ok(())
    }

    /// Removes the versions that nobody needs: a process has ended between giving one its place and recording
    /// it. What is not named like a version is not the store's, and stays.
    pub(super) fn remove_unneeded(&self) -> Result<(), StoreError> {
        let state = self.state();
        for digest in self.there()?.into_iter().filter(|digest| !state.needed.contains_key(digest)) {
            let folder = self.folder(&digest);
            drop(self.move_away(&folder).map_err(StoreError::of(&folder))?);
        }
        Ok(())
    }

    /// All that is named like a version.
    fn there(&self) -> Result<Vec<Digest>, StoreError> {
        let entries = fs::read_dir(&self.versions).map_err(StoreError::of(&self.versions))?;
        let digest = |entry: io::Result<fs::DirEntry>| match entry {
            Ok(entry) => entry.file_name().to_str().and_then(Digest::parse).map(Ok),
            Err(error) => Some(Err(StoreError::of(&self.versions)(error))),
        };
        entries.filter_map(digest).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A version's files, which stay where they are as long as this is there. Whoever serves them keeps it.
#[derive(Debug)]
pub struct Held {
    shelf: Arc<Shelf>,
    digest: Digest,
}

impl Held {
    /// The folder that they are in, of which nothing may be changed.
    pub fn folder(&self) -> PathBuf {
        self.shelf.folder(&self.digest)
    }

    /// The name of what is in it.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Whether the files are there and still what they were. Reads all of them.
    ///
    /// # Errors
    /// When that cannot be told: the system refuses to read, or has no descriptor left.
    pub fn is_whole(&self) -> Result<bool, StoreError> {
        let folder = self.folder();
        match Listing::read(&folder) {
            Ok(listing) => Ok(listing.digest() == self.digest),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => {
                Ok(false)
            }
            Err(error) => Err(StoreError::of(&folder)(error)),
        }
    }

    /// Whether they are on this shelf.
    pub(super) fn is_on(&self, shelf: &Arc<Shelf>) -> bool {
        Arc::ptr_eq(&self.shelf, shelf)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shelf.let_go(&self.digest);
    }
}
