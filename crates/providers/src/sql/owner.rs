//! What an app keeps: its databases, and the two lanes in which calls to them wait.
//!
//! The lanes are the owner's, not a database's: so no app has more than two of the threads, and no two of its databases grow at
//! once into what its quota leaves.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use nexus_core::ResourcePart;
use nexus_guest::{CapabilityError, Grant, Hold, SqlResult};
use tokio::sync::oneshot;

use super::SqlCall;
use super::database::{Database, Shared};
use super::journal::LARGE;
use crate::lane::{Lane, Waits};
use crate::work::Work;

/// What the smallest database takes, in bytes: each counts so much.
pub(super) const SMALLEST: u64 = 8 << 10;
/// The end of databases' names.
const ENDING: &str = ".sqlite";
/// And of their journals' names.
const JOURNAL_ENDING: &str = ".sqlite-wal";

/// An app, as the owner of databases.
pub(super) struct Owner {
    /// Where their files are; `None` if they are in memory.
    folder: Option<PathBuf>,
    databases: Mutex<HashMap<ResourcePart, Shared>>,
    /// How large each is, in bytes, as far as is known, and its journal.
    sizes: Mutex<HashMap<String, (u64, u64)>>,
    pub(super) writes: Lane<Job>,
    pub(super) reads: Lane<Job>,
}

/// A call that waits.
pub(super) struct Job {
    pub(super) database: Shared,
    pub(super) grant: Arc<Grant>,
    pub(super) call: SqlCall,
    pub(super) reply: Reply,
}

/// Who waits for an answer, and what goes with that.
pub(super) struct Reply {
    pub(super) answer: oneshot::Sender<Answered>,
    /// Is set once nobody waits.
    pub(super) gone: Arc<AtomicBool>,
    pub(super) work: Work,
    /// How much of the guest's memory is held for it, in bytes: it may be carried out more than once.
    pub(super) held: usize,
}

/// An answer, and what holds it until it was taken.
pub(super) type Answered = (Result<Vec<SqlResult>, CapabilityError>, Box<dyn Hold>);

impl Reply {
    pub(super) fn send(self, result: Result<Vec<SqlResult>, CapabilityError>) {
        let Work { hold, inside } = self.work;
        // The work is done, whenever the answer is taken.
        drop(inside);
        // Nobody may wait any more.
        let _ = self.answer.send((result, hold));
    }
}

/// Somebody waits for an answer, as long as this is there.
pub(super) struct Awaited(pub(super) Arc<AtomicBool>);

impl Drop for Awaited {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Waits for Job {
    fn bytes(&self) -> usize {
        self.call.operation.size()
    }
}

impl Owner {
    pub(super) fn new(folder: Option<PathBuf>) -> Self {
        let owner = Self {
            folder,
            databases: Mutex::default(),
            sizes: Mutex::default(),
            writes: Lane::new(),
            reads: Lane::new(),
        };
        owner.look();
        owner
    }

    /// One of its databases.
    pub(super) fn database(&self, name: &ResourcePart) -> Shared {
        let mut databases = self.databases.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(database) = databases.get(name) {
            return database.clone();
        }
        let path = self.folder.as_ref().map(|folder| folder.join(format!("{name}{ENDING}")));
        let database = Arc::new(Database::new(name.clone(), path));
        databases.insert(name.clone(), database.clone());
        database
    }

    /// All that were called.
    pub(super) fn databases(&self) -> Vec<Shared> {
        self.databases.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Looks how large its files are.
    fn look(&self) {
        let Some(entries) = self.folder.as_ref().and_then(|folder| std::fs::read_dir(folder).ok()) else {
            return;
        };
        let mut sizes = self.sizes.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in entries.flatten() {
            let name = entry.file_name();
            let (Some(name), Ok(metadata)) = (name.to_str(), entry.metadata()) else { continue };
            if let Some(name) = name.strip_suffix(ENDING) {
                sizes.entry(name.to_owned()).or_default().0 = metadata.len();
            } else if let Some(name) = name.strip_suffix(JOURNAL_ENDING) {
                sizes.entry(name.to_owned()).or_default().1 = metadata.len();
            }
        }
    }

    /// How much all but this one take.
    pub(super) fn others(&self, name: &ResourcePart) -> u64 {
        let sizes = self.sizes.lock().unwrap_or_else(PoisonError::into_inner);
        let others = sizes.iter().filter(|(other, _)| *other != name.as_str());
        // Of a journal what is more than each may have.
        others.map(|(_, (size, journal))| (*size).max(SMALLEST) + journal.saturating_sub(LARGE)).sum()
    }

    /// How large one is now.
    pub(super) fn is_now(&self, name: &ResourcePart, size: u64, journal: u64) {
        let mut sizes = self.sizes.lock().unwrap_or_else(PoisonError::into_inner);
        match sizes.get_mut(name.as_str()) {
            Some(known) => *known = (size, journal),
            None => drop(sizes.insert(name.as_str().to_owned(), (size, journal))),
        }
    }

    /// Makes the folder, into which only this user may look.
    pub(super) fn make_folder(&self) -> io::Result<()> {
        use std::os::unix::fs::DirBuilderExt;
        match &self.folder {
            Some(folder) => {
                std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
                self.look();
                Ok(())
            }
            None => Ok(()),
        }
    }
}
